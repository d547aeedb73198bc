"""A worker's way: claimed by one, finished once, given back when a worker is lost."""

import threading
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import update

from main_service.extensions import db
from main_service.models import Submission
from main_service.submissions.leases import take_back_lapsed
from tests.main_service.people import SERVICE_TOKEN, Worker

RESULT_KEYS = ("status", "run_time", "wall_time", "memory_used", "memory_source", "isolation", "stdout", "stderr")


@pytest.fixture
def read(client, student):
    return lambda submission_id: client.get(f"/api/submissions/{submission_id}", headers=student.headers).json


def let_lease_lapse(app, submission_id):
    with app.app_context():
        past = datetime.now(UTC) - timedelta(seconds=1)
        db.session.execute(update(Submission).where(Submission.id == submission_id).values(lease_until=past))
        db.session.commit()


def sweep_leases(app):
    with app.app_context():
        return take_back_lapsed()


# Claiming ------------------------------------------------------------------------------------------


def test_a_claim_brings_all_that_a_run_needs(make_app, student):
    app = make_app(RUN_CPU_MS=2000, RUN_WALL_MS=8000, RUN_MEMORY_MB=128, RUN_OUTPUT_BYTES=4096)
    body = {"source": "print(input())", "stdin": "5"}
    headers = student.headers | {"X-Request-Id": "one-of-ours"}
    submission_id = app.test_client().post("/api/submissions", json=body, headers=headers).json["id"]

    answer = Worker(app.test_client()).claim(submission_id)

    assert answer.status_code == 200
    assert answer.json == {
        "submission_id": submission_id,
        "attempt": 1,
        "lease_seconds": 68,
        "language": "python",
        "source": "print(input())",
        "stdin": "5",
        "limits": {"cpu_ms": 2000, "wall_ms": 8000, "memory_kib": 131072, "output_bytes": 4096},
        "checks": [],
        "request_id": "one-of-ours",
    }


def test_a_claimed_submission_is_running(worker, student, submit, read):
    submission_id = submit(student)

    worker.claim(submission_id)

    seen = read(submission_id)
    assert (seen["status"], seen["attempt"]) == ("running", 1)
    assert seen["claimed_at"] is not None


def test_of_eight_workers_one_gets_it(app, student, submit):
    submission_id = submit(student)
    start = threading.Barrier(8)
    answers = []

    def claim(number):
        worker = Worker(app.test_client(), id=f"worker-{number}")
        start.wait()
        answers.append(worker.claim(submission_id).status_code)

    threads = [threading.Thread(target=claim, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert sorted(answers) == [200] + [409] * 7


def test_an_unknown_submission_cannot_be_claimed(worker):
    answer = worker.claim(12345)

    assert (answer.status_code, answer.json["code"]) == (404, "submission_not_found")


def test_a_running_submission_is_not_given_away_by_a_second_message(worker, student, submit):
    submission_id = submit(student)
    worker.claim(submission_id)

    by_duplicate = worker.claim(submission_id, job_key=f"sub-{submission_id}-2")
    by_redelivered_duplicate = worker.claim(submission_id, job_key=f"sub-{submission_id}-2", redelivered=True)

    assert (by_duplicate.status_code, by_duplicate.json["code"]) == (409, "not_claimable")
    assert by_redelivered_duplicate.status_code == 409


def test_the_redelivered_message_of_a_lost_worker_takes_over_at_once(client, student, submit, read):
    submission_id = submit(student)
    lost, heir = Worker(client, "lost"), Worker(client, "heir")
    lost.claim(submission_id)

    taken_over = heir.claim(submission_id, redelivered=True)
    late = lost.report(submission_id, attempt=1, stdout="late")
    stored = heir.report(submission_id, attempt=2, stdout="in time")

    assert (taken_over.status_code, taken_over.json["attempt"]) == (200, 2)
    assert (late.status_code, late.json["code"]) == (409, "stale_attempt")
    assert stored.status_code == 200
    assert read(submission_id)["stdout"] == "in time"


def test_a_lapsed_lease_may_be_claimed_by_any_message(app, client, student, submit):
    submission_id = submit(student)
    Worker(client, "silent").claim(submission_id)
    let_lease_lapse(app, submission_id)

    answer = Worker(client, "next").claim(submission_id, job_key=f"sub-{submission_id}-2")

    assert (answer.status_code, answer.json["attempt"]) == (200, 2)


def test_what_fails_three_workers_is_given_up_as_our_fault(worker, student, submit, read):
    submission_id = submit(student)
    worker.claim(submission_id)
    for _ in range(2):
        assert worker.claim(submission_id, redelivered=True).status_code == 200

    fourth = worker.claim(submission_id, redelivered=True)

    assert (fourth.status_code, fourth.json["code"]) == (409, "not_claimable")
    seen = read(submission_id)
    assert (seen["status"], seen["attempt"]) == ("internal_error", 3)
    assert seen["error"]["type"] == "internal_error"
    assert seen["finished_at"] is not None
    assert worker.report(submission_id, attempt=3).status_code == 409


@pytest.mark.parametrize("main_url", ["sqlite"], indirect=True)
@pytest.mark.parametrize(
    "body",
    [
        {},
        {"worker_id": "w", "job_key": "k"},
        {"worker_id": "", "job_key": "k", "redelivered": False},
        {"worker_id": "w\0", "job_key": "k", "redelivered": False},
        {"worker_id": "w" * 129, "job_key": "k", "redelivered": False},
        {"worker_id": "w", "job_key": "k" * 65, "redelivered": False},
        {"worker_id": "w", "job_key": 5, "redelivered": False},
        {"worker_id": "w", "job_key": "k", "redelivered": "perhaps"},
        [],
    ],
)
def test_a_claim_of_another_shape_is_refused(client, student, submit, body):
    answer = client.post(
        f"/internal/submissions/{submit(student)}/claim",
        json=body,
        headers={"Authorization": f"Bearer {SERVICE_TOKEN}"},
    )

    assert answer.status_code == 422


# Results -------------------------------------------------------------------------------------------


def test_a_result_is_stored_as_the_worker_found_it(worker, student, submit, read):
    submission_id = submit(student)
    worker.claim(submission_id)
    sent = worker.result(error={"type": "ZeroDivisionError", "message": "division by zero", "line": 3, "cell_id": "x"})
    sent["cells"][0]["outputs"] = [
        {"mimetype": "text/html", "data": "<b>☃</b>"},
        {"mimetype": "application/json", "data": {"deep": [1, 2.5, None, {"x": "\U0001f600"}]}},
    ]

    answer = worker.report(submission_id, **sent | {"status": "runtime_error"})

    assert (answer.status_code, answer.json) == (200, {"status": "runtime_error"})
    seen = read(submission_id)
    for key in (*RESULT_KEYS[1:], "error", "cells", "graph", "started_at", "finished_at"):
        assert seen[key] == sent[key], key
    assert seen["status"] == "runtime_error"


def test_the_second_result_of_one_attempt_is_dropped(worker, student, submit, read):
    submission_id = submit(student)
    worker.claim(submission_id)

    first = worker.report(submission_id, stdout="first")
    second = worker.report(submission_id, stdout="second")

    assert (first.status_code, second.status_code) == (200, 409)
    assert read(submission_id)["stdout"] == "first"


@pytest.mark.parametrize(
    "changes", [{"attempt": 2}, {"attempt": 0}, {"worker_id": "somebody else"}], ids=["later", "earlier", "another"]
)
def test_only_the_current_claim_may_report(worker, student, submit, read, changes):
    submission_id = submit(student)
    worker.claim(submission_id)

    answer = worker.report(submission_id, **changes)

    assert (answer.status_code, answer.json["code"]) == (409, "stale_attempt")
    assert read(submission_id)["status"] == "running"


def test_a_result_for_nothing_claimed_is_dropped(worker, student, submit):
    assert worker.report(submit(student)).status_code == 409
    assert worker.report(98765).status_code == 404


def test_of_eight_parallel_results_one_counts(app, worker, student, submit, read):
    submission_id = submit(student)
    worker.claim(submission_id)
    start = threading.Barrier(8)
    answers = {}

    def report(number):
        mine = Worker(app.test_client())
        start.wait()
        answers[number] = mine.report(submission_id, stdout=str(number)).status_code

    threads = [threading.Thread(target=report, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert sorted(answers.values()) == [200] + [409] * 7
    assert answers[int(read(submission_id)["stdout"])] == 200


def test_an_error_on_our_side_is_tried_again_until_three_attempts_are_used(worker, student, submit, read):
    submission_id = submit(student)
    statuses = []
    for attempt in (1, 2, 3):
        worker.claim(submission_id, job_key=f"sub-{submission_id}-{attempt}")
        statuses.append(worker.report(submission_id, attempt=attempt, status="internal_error", cells=[]).json["status"])

    assert statuses == ["queued", "queued", "internal_error"]
    seen = read(submission_id)
    assert (seen["status"], seen["attempt"]) == ("internal_error", 3)
    assert seen["error"]["message"].startswith("We could not run")


def test_what_waits_for_another_attempt_is_unsent_again(worker, student, submit, read):
    submission_id = submit(student)
    worker.claim(submission_id)

    worker.report(submission_id, status="internal_error")

    seen = read(submission_id)
    assert (seen["status"], seen["published_at"], seen["started_at"], seen["cells"]) == ("queued", None, None, [])


CELL = Worker(None).result()["cells"][0]  # type: ignore[arg-type]


@pytest.mark.parametrize("main_url", ["sqlite"], indirect=True)
@pytest.mark.parametrize(
    "changes",
    [
        {"status": "queued"},
        {"status": "running"},
        {"status": "cancelled"},
        {"status": "great"},
        {"status": None},
        {"attempt": None},
        {"attempt": "1"},
        {"run_time": -1},
        {"run_time": 1.5},
        {"run_time": 2**31},
        {"memory_used": "much"},
        {"stdout": "a\0b"},
        {"stderr": "\ud800"},
        {"stdout": 5},
        {"error": "text"},
        {"error": {"message": "\0"}},
        {"error": {"\0": "key"}},
        {"cells": None},
        {"cells": [1]},
        {"cells": [{"id": "x"}]},
        {"cells": [CELL | {"status": "fine"}]},
        {"cells": [CELL | {"outputs": [{"mimetype": "application/json", "data": float("nan")}]}]},
        {"cells": [CELL | {"outputs": [{"mimetype": "application/json", "data": float("inf")}]}]},
        {"cells": [CELL | {"code": "\0"}]},
        {"graph": []},
        {"graph": {"defs": {"a": ["\0"]}}},
        {"started_at": "yesterday"},
        {"started_at": "2026-11-23T05:00:00"},
        {"finished_at": "0001-01-01T00:00:00+14:00"},
    ],
)
def test_a_result_that_could_not_be_stored_or_shown_is_refused(worker, student, submit, read, changes):
    submission_id = submit(student)
    worker.claim(submission_id)

    answer = worker.report(submission_id, **changes)

    assert answer.status_code == 422
    assert read(submission_id)["status"] == "running"


def test_a_result_nested_too_deeply_is_refused(worker, student, submit):
    submission_id = submit(student)
    worker.claim(submission_id)
    deep: list[Any] = []
    for _ in range(200):
        deep = [deep]

    assert worker.report(submission_id, graph={"edges": deep}).status_code == 422


def test_a_result_larger_than_allowed_is_refused(make_app, student):
    app = make_app(MAX_RESULT_BYTES=70_000)
    client = app.test_client()
    submission_id = client.post("/api/submissions", json={"source": "1"}, headers=student.headers).json["id"]
    worker = Worker(client)
    worker.claim(submission_id)

    assert worker.report(submission_id, stdout="x" * 80_000).status_code == 413
    assert worker.report(submission_id, stdout="x" * 60_000).status_code == 200


def test_the_largest_result_a_worker_sends_is_stored(worker, student, submit, read):
    submission_id = submit(student)
    worker.claim(submission_id)
    eight_mib = "ж" * (4 * 2**20)  # Six bytes each on the way, as Python's json spells it.

    answer = worker.report(submission_id, cells=[CELL | {"outputs": [{"mimetype": "text/plain", "data": eight_mib}]}])

    assert answer.status_code == 200
    assert read(submission_id)["cells"][0]["outputs"][0]["data"] == eight_mib


def test_a_newer_worker_may_say_more_than_we_know(worker, student, submit, read):
    submission_id = submit(student)
    worker.claim(submission_id)

    answer = worker.report(submission_id, mood="good", cells=[CELL | {"memory_kib": 5}])

    assert answer.status_code == 200
    assert read(submission_id)["cells"][0]["memory_kib"] == 5


# Lapsed leases -------------------------------------------------------------------------------------


def test_a_silent_workers_run_goes_back_to_the_queue(app, worker, student, submit, read):
    submission_id = submit(student)
    worker.claim(submission_id)
    assert sweep_leases(app) == 0

    let_lease_lapse(app, submission_id)

    assert sweep_leases(app) == 1
    seen = read(submission_id)
    assert (seen["status"], seen["published_at"], seen["attempt"]) == ("queued", None, 1)
    assert worker.report(submission_id).status_code == 409


def test_a_result_after_the_lease_but_before_anybody_noticed_still_counts(app, worker, student, submit, read):
    submission_id = submit(student)
    worker.claim(submission_id)
    let_lease_lapse(app, submission_id)

    assert worker.report(submission_id).status_code == 200
    assert sweep_leases(app) == 0
    assert read(submission_id)["status"] == "completed"


def test_the_third_silent_worker_is_the_last(app, worker, student, submit, read):
    submission_id = submit(student)
    for attempt in (1, 2, 3):
        assert worker.claim(submission_id).json["attempt"] == attempt
        let_lease_lapse(app, submission_id)
        assert sweep_leases(app) == 1

    assert read(submission_id)["status"] == "internal_error"
    assert worker.claim(submission_id).status_code == 409
