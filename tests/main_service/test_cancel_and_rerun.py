"""What an owner may still do with a submission: end it, or hand it in once more."""

import pytest

URL = "/api/submissions"


@pytest.mark.parametrize("is_running", [False, True])
def test_an_unfinished_submission_can_be_cancelled(client, worker, student, submit, is_running):
    submission_id = submit(student)
    if is_running:
        worker.claim(submission_id)

    answer = client.post(f"{URL}/{submission_id}/cancel", headers=student.headers)

    assert answer.status_code == 200
    assert answer.json["status"] == "cancelled"
    assert answer.json["finished_at"] is not None
    assert answer.headers["ETag"] == client.get(f"{URL}/{submission_id}", headers=student.headers).headers["ETag"]


def test_the_result_of_a_cancelled_run_is_dropped(client, worker, student, submit):
    submission_id = submit(student)
    worker.claim(submission_id)
    client.post(f"{URL}/{submission_id}/cancel", headers=student.headers)

    too_late = worker.report(submission_id)

    assert (too_late.status_code, too_late.json["code"]) == (409, "stale_attempt")
    read = client.get(f"{URL}/{submission_id}", headers=student.headers).json
    assert (read["status"], read["cells"], read["stdout"]) == ("cancelled", [], None)


def test_a_cancelled_submission_is_not_given_to_a_worker(client, worker, student, submit):
    submission_id = submit(student)
    client.post(f"{URL}/{submission_id}/cancel", headers=student.headers)

    assert worker.claim(submission_id).status_code == 409


def test_a_finished_submission_cannot_be_cancelled(client, worker, student, submit):
    submission_id = submit(student)
    worker.claim(submission_id)
    worker.report(submission_id)

    for _ in range(2):
        answer = client.post(f"{URL}/{submission_id}/cancel", headers=student.headers)
        assert (answer.status_code, answer.json["code"]) == (409, "already_final")


def test_moderators_may_cancel_and_strangers_see_nothing_to_cancel(client, student, stranger, moderator, submit):
    submission_id = submit(student)

    assert client.post(f"{URL}/{submission_id}/cancel", headers=stranger.headers).status_code == 404
    assert client.post(f"{URL}/{submission_id}/cancel", headers=moderator.headers).status_code == 200


def test_a_rerun_is_a_new_submission_of_the_same_program(client, worker, student, submit):
    first = submit(student, source="print(input())", stdin="5\n")
    worker.claim(first)
    worker.report(first)

    answer = client.post(f"{URL}/{first}/rerun", headers=student.headers)

    assert answer.status_code == 202
    assert answer.json["id"] != first
    assert answer.headers["Location"] == f"{URL}/{answer.json['id']}"
    assert {key: answer.json[key] for key in ("status", "source", "stdin", "rerun_of", "attempt", "cells")} == {
        "status": "queued",
        "source": "print(input())",
        "stdin": "5\n",
        "rerun_of": first,
        "attempt": 0,
        "cells": [],
    }
    assert client.get(f"{URL}/{first}", headers=student.headers).json["status"] == "completed"


def test_only_its_owner_may_run_it_again(client, student, stranger, moderator, submit):
    submission_id = submit(student)

    assert client.post(f"{URL}/{submission_id}/rerun", headers=stranger.headers).status_code == 404
    assert client.post(f"{URL}/{submission_id}/rerun", headers=moderator.headers).status_code == 403


def test_a_rerun_repeated_under_one_key_runs_once(client, student, submit):
    submission_id = submit(student)
    headers = student.headers | {"Idempotency-Key": "again-1"}

    first = client.post(f"{URL}/{submission_id}/rerun", headers=headers)
    second = client.post(f"{URL}/{submission_id}/rerun", headers=headers)

    assert first.json["id"] == second.json["id"]
    assert second.headers["Idempotent-Replay"] == "true"


def test_reruns_count_as_waiting_too(make_app, student):
    client = make_app(MAX_WAITING_PER_USER=1).test_client()
    submission_id = client.post(URL, json={"source": "1"}, headers=student.headers).json["id"]

    assert client.post(f"{URL}/{submission_id}/rerun", headers=student.headers).status_code == 429
