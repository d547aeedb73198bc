"""One job → one result, between the doubles of both neighbours."""

import logging

import pytest

from executor_worker import job as job_module
from executor_worker.errors import Abandoned
from executor_worker.job import JobDoer
from executor_worker.presence import RunnerWatch, description
from executor_worker.runner_client import RunnerClient
from service_kit.messages import SubmissionJob
from tests.executor_worker.runner_double import DONE, ERROR, cell, notebook

JOB = SubmissionJob(7, "sub-7-1", "request-7")


@pytest.fixture
def watch(runner):
    watch = RunnerWatch(RunnerClient(runner.path))
    watch.check()
    return watch


@pytest.fixture
def doer(reporter, runner, watch, abandon, monkeypatch):
    monkeypatch.setattr(job_module, "BREATH_SECONDS", 0.01)
    return JobDoer(reporter, RunnerClient(runner.path), watch, abandon)


def test_a_job_ends_with_its_result_stored(doer, main_service):
    row = main_service.add(7)

    doer.do(JOB, redelivered=False)

    assert row.status == "completed"
    assert row.result["stdout"] == "hello\n"
    assert row.result["run_time"] == 12
    assert row.result["worker_id"] == "worker-1"


def test_source_and_stdin_reach_the_program(doer, main_service, runner):
    main_service.add(7, "name = input()", stdin="Ada\n")

    doer.do(JOB, redelivered=False)

    assert runner.runs[0].job == {"source": "name = input()", "filename": "main.py", "stdin": "Ada\n"}


def test_a_notebook_is_named_as_one(doer, main_service, runner):
    main_service.add(7, "import marimo as mo\n\napp = mo.App(width='full')\n")

    doer.do(JOB, redelivered=False)

    assert runner.runs[0].job["filename"] == "notebook.py"


def test_a_students_error_is_stored_with_its_place(doer, main_service, runner):
    row = main_service.add(7, "bad")
    runner.programs["bad"] = lambda it: it.say(
        notebook("a"), cell("a", status="error", error=ERROR | {"line": 3}), DONE
    )

    doer.do(JOB, redelivered=False)

    assert row.status == "runtime_error"
    assert row.result["error"] == {"type": "ValueError", "message": "no", "line": 3, "cell_id": "a"}


def test_one_request_id_in_every_call_and_every_log_line(doer, main_service, caplog):
    from service_kit.logs import _ServiceFields

    caplog.handler.addFilter(_ServiceFields("executor_worker"))
    caplog.set_level(logging.INFO)
    row = main_service.add(7)

    doer.do(JOB, redelivered=False)

    assert row.request_ids == {"request-7"}
    assert {record.request_id for record in caplog.records if record.name == "executor_worker.job"} == {"request-7"}


def test_nothing_is_run_for_a_message_that_is_out_of_date(doer, main_service, runner):
    main_service.add(7, status="cancelled")

    doer.do(JOB, redelivered=False)

    assert runner.runs == []


def test_a_failing_runner_is_our_fault_and_is_tried_again(doer, main_service, runner):
    def fail(run):
        run.has_ended = True
        run.state({"event": "failed", "reason": "/var/secret: no child"})

    row = main_service.add(7, "bad")
    runner.programs["bad"] = fail

    doer.do(JOB, redelivered=False)

    assert row.result["status"] == "internal_error"
    assert row.status == "queued"
    assert "secret" not in str(row.result)


def test_a_runner_that_is_away_stops_the_taking_of_jobs_before_the_slot_is_free(doer, main_service, runner, watch):
    row = main_service.add(7)
    runner.stop()

    doer.do(JOB, redelivered=False)

    assert row.result["status"] == "internal_error"
    assert not watch.is_well
    assert "cannot be reached" in watch.why_not()


def test_the_runner_is_found_again(watch, runner):
    runner.stop()
    watch.check()
    assert not watch.is_well

    runner.start()
    watch.check()

    assert watch.is_well
    assert watch.why_not() is None


@pytest.mark.parametrize(("shown", "code", "kept"), [(20_000, 10, 1), (10, 20_000, 0)], ids=["outputs", "code"])
def test_a_result_larger_than_is_taken_loses_weight_and_not_its_status(doer, main_service, runner, shown, code, kept):
    row = main_service.add(7, "much")
    main_service.most_bytes = 10_000
    start = notebook("a")
    start["cells"][0]["code"] = "#" * code
    picture = [{"mimetype": "image/png", "data": "x" * shown}]
    runner.programs["much"] = lambda it: it.say(start, cell("a", "said", outputs=picture), DONE)

    doer.do(JOB, redelivered=False)

    assert row.status == "completed"
    assert row.result["stdout"] == "said"
    assert len(row.result["cells"]) == kept


def test_a_language_nobody_here_knows_is_our_fault(doer, main_service, runner):
    row = main_service.add(7, language="cobol")

    doer.do(JOB, redelivered=False)

    assert row.result["status"] == "internal_error"
    assert runner.runs == []


def test_a_worker_that_must_go_reports_nothing(doer, main_service, runner, abandon):
    row = main_service.add(7, "endless")

    def endless(run):
        abandon.set()
        run.wait_for_hang_up()

    runner.programs["endless"] = endless

    with pytest.raises(Abandoned):
        doer.do(JOB, redelivered=False)
    assert row.results == []


def test_a_worker_announces_what_its_runner_can(watch):
    told = description(watch.hello, slots=2)

    assert (told["slots"], told["isolation"], told["marimo"]) == (2, "processes", "0.25.2")
    (python,) = told["languages"]
    assert (python["id"], python["label"], python["version"]) == ("python", "Python", "3.11.2")
    assert "marimo.App" in python["template"]
    assert python["packages"] == [{"name": "numpy", "version": "2.4.1"}]
