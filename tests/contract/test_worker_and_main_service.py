"""The real main_service and the worker understand each other: message, claim, result, announcement."""

import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import flask_migrate
import pytest
from flask import Flask
from sqlalchemy.orm import undefer_group
from werkzeug.serving import make_server

from executor_worker.consumer import Consumer
from executor_worker.job import JobDoer
from executor_worker.presence import RunnerWatch, description
from executor_worker.reporter import Reporter
from executor_worker.runner_client import RunnerClient
from main_service.app import create_app
from main_service.config import Config
from main_service.extensions import db
from main_service.models import Submission
from main_service.submissions.intake import Order, announce, job_for, record_submission
from main_service.submissions.languages import available_languages
from service_kit.request_id import use_request_id
from tests.executor_worker.runner_double import DONE, ERROR, Run, RunnerDouble, cell, notebook
from tests.executor_worker.waiting import eventually

TOKEN = "the-service-token-of-this-test"


@pytest.fixture
def app(tmp_path: Path, amqp_url: str) -> Iterator[Flask]:
    """main_service on a fresh database, with the real broker."""
    app = create_app(
        Config.from_env(
            {
                "APP_ENV": "testing",
                "SERVICE_TOKEN": TOKEN,
                "DATABASE_URL_MAIN": f"sqlite:///{tmp_path / 'main.sqlite3'}",
                "AMQP_URL": amqp_url,
                "AUTH_SERVICE_URL": "http://127.0.0.1:1",
                "RUN_OUTPUT_BYTES": "1024",
            }
        )
    )
    with app.app_context():
        flask_migrate.upgrade()
    yield app
    with app.app_context():
        db.session.remove()
        db.engine.dispose()


@pytest.fixture
def main_url(app: Flask) -> Iterator[str]:
    server = make_server("127.0.0.1", 0, app, threaded=True)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    with closing(server.socket):
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


@pytest.fixture
def runner(tmp_path: Path) -> Iterator[RunnerDouble]:
    double = RunnerDouble(str(tmp_path / "runner.sock")).start()
    yield double
    double.stop()


@pytest.fixture
def reporter(main_url: str) -> Reporter:
    return Reporter(main_url, TOKEN, "worker-1", threading.Event())


@pytest.fixture
def worker(amqp_url: str, reporter: Reporter, runner: RunnerDouble) -> Iterator[None]:
    """The worker's own parts, in a thread of the test."""
    abandon = threading.Event()
    watch = RunnerWatch(RunnerClient(runner.path))
    watch.check()
    doer = JobDoer(reporter, RunnerClient(runner.path), watch, abandon)
    consumer = Consumer(amqp_url, 2, doer.do, lambda: watch.is_well, abandon)
    thread = threading.Thread(target=consumer.run, args=(5,))
    thread.start()
    yield
    consumer.stop()
    thread.join(20)
    consumer.close()


@pytest.fixture
def hand_in(app: Flask) -> Callable[[str], int]:
    """Submit as submit_code() does: stored, committed, announced to the broker."""

    def submit(source: str) -> int:
        with app.app_context(), use_request_id("request-of-the-contract"):
            submission = record_submission(1, Order(source, "python", stdin="Ada\n"))
            db.session.flush()
            job = job_for(submission)
            db.session.commit()
            announce(submission, job)
            return submission.id

    return submit


@pytest.fixture
def stored(app: Flask) -> Callable[[int], Submission]:
    """The row with everything, once it is final."""

    def wait(submission_id: int) -> Submission:
        def look() -> Submission | None:
            with app.app_context():
                row = db.session.get(Submission, submission_id, options=[undefer_group("body")])
                assert row is not None
                db.session.expunge(row)
                return row if row.is_final else None

        row: Submission = eventually(look, f"submission {submission_id} final")
        return row

    return wait


def killed(run: Run) -> None:
    run.say(notebook("a", "b"), cell("a"), {"type": "console", "id": "b", "channel": "stdout", "text": "so far"})
    run.end(exit_code=None, signal=9, killed="cpu")


def forged(run: Run) -> None:
    run.say(notebook("a"), b"junk")
    run.wait_for_hang_up()


def flooded(run: Run) -> None:
    run.say(notebook("a"), {"type": "console", "id": "a", "channel": "stderr", "text": "x" * 2000})
    run.wait_for_hang_up()


def rich(run: Run) -> None:
    shown = [
        {"mimetype": "image/png", "data": "data:image/png;base64,AAAA"},
        {"mimetype": "text/html", "data": "<b>жук</b>"},
    ]
    run.say(notebook("a", "b", edges=[("a", "b")]), cell("a", "out", "err", outputs=shown), cell("b", "\0\ud800"), DONE)


PROGRAMS: dict[str, tuple[Callable[[Run], None], str]] = {
    "rich": (rich, "completed"),
    "raised": (lambda it: it.say(notebook("a"), cell("a", status="error", error=ERROR), DONE), "runtime_error"),
    "left out": (
        lambda it: it.say(
            notebook("a", "b"), cell("a", status="error", error=ERROR), cell("b", status="not_run", time_ms=None), DONE
        ),
        "runtime_error",
    ),
    "invalid": (
        lambda it: it.say({"type": "invalid", "error": ERROR | {"type": "syntax", "column": 3}, "errors": []}, DONE),
        "compilation_error",
    ),
    "killed": (killed, "time_limit_exceeded"),
    "flooded": (flooded, "output_limit_exceeded"),
    "forged": (forged, "runtime_error"),
    "out of memory": (lambda it: it.end(exit_code=None, signal=9, killed="memory"), "memory_limit_exceeded"),
}


@pytest.mark.usefixtures("worker")
def test_every_kind_of_result_is_stored(runner, hand_in, stored):
    for source, (program, _) in PROGRAMS.items():
        runner.programs[source] = program

    ids = {source: hand_in(source) for source in PROGRAMS}

    rows = {source: stored(submission_id) for source, submission_id in ids.items()}
    assert {source: row.status.value for source, row in rows.items()} == {
        source: status for source, (_, status) in PROGRAMS.items()
    }
    assert {row.attempt for row in rows.values()} == {1}
    assert {run.job["stdin"] for run in runner.runs} == {"Ada\n"}

    shown = rows["rich"]
    assert (shown.run_time, shown.wall_time, shown.memory_used, shown.memory_source) == (12, 20, 3000, "rusage")
    assert (shown.stdout, shown.stderr, shown.isolation) == ("out", "err", "processes")
    assert shown.graph == {"edges": [["a", "b"]], "defs": {}, "refs": {}}
    assert shown.cells[0]["outputs"][1] == {"mimetype": "text/html", "data": "<b>жук</b>"}
    assert shown.started_at is not None
    assert shown.finished_at is not None
    assert rows["killed"].stdout == "so far"
    assert [one["status"] for one in rows["killed"].cells] == ["ok", "interrupted"]
    assert len(rows["flooded"].stderr or "") == 1024


@pytest.mark.usefixtures("worker")
def test_our_own_failure_goes_back_into_the_queue(app, runner, hand_in):
    def fail(run: Run) -> None:
        run.has_ended = True
        run.state({"event": "failed", "reason": "no child"})

    runner.programs["bad luck"] = fail
    submission_id = hand_in("bad luck")

    def is_queued_again() -> bool:
        with app.app_context():
            row = db.session.get(Submission, submission_id)
            return row is not None and row.status.value == "queued" and row.attempt == 1

    eventually(is_queued_again, "queued again after one attempt")


def test_a_claim_is_told_apart_from_a_late_and_an_unknown_one(reporter, app, hand_in):
    submission_id = hand_in("hello")
    with app.app_context():
        row = db.session.get(Submission, submission_id)
        assert row is not None
        job = job_for(row)

    claim = reporter.claim(job, redelivered=False)

    assert (claim.source, claim.stdin, claim.attempt, claim.limits.output_bytes) == ("hello", "Ada\n", 1, 1024)
    assert reporter.claim(job, redelivered=False) is None
    assert reporter.claim(job, redelivered=True).attempt == 2
    assert reporter.store(claim, {"status": "completed"}) is False


def test_the_announcement_of_a_worker_is_what_languages_show(reporter, app, runner):
    watch = RunnerWatch(RunnerClient(runner.path))
    watch.check()

    assert watch.hello is not None
    assert reporter.announce(description(watch.hello, slots=2)) is True

    with app.app_context():
        assert "python" in available_languages()
