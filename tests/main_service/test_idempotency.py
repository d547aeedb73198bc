"""One Idempotency-Key, one submission: however often and however parallel the request is sent."""

import threading

import pytest
from sqlalchemy import func, select

from main_service.extensions import db
from main_service.models import Submission

URL = "/api/submissions"
CODE = {"source": "print(1)", "language": "python"}


def count_rows(app):
    with app.app_context():
        return db.session.execute(select(func.count()).select_from(Submission)).scalar_one()


def test_a_repeated_request_gives_the_same_submission(app, client, student):
    headers = student.headers | {"Idempotency-Key": "key-1"}

    first = client.post(URL, json=CODE, headers=headers)
    second = client.post(URL, json=CODE, headers=headers)

    assert (first.status_code, second.status_code) == (202, 202)
    assert "Idempotent-Replay" not in first.headers
    assert second.headers["Idempotent-Replay"] == "true"
    assert second.headers["Location"] == first.headers["Location"]
    assert second.json == first.json
    assert count_rows(app) == 1


def test_a_replay_shows_the_submission_as_it_is_now(client, worker, student):
    headers = student.headers | {"Idempotency-Key": "key-1"}
    submission_id = client.post(URL, json=CODE, headers=headers).json["id"]
    worker.claim(submission_id)
    worker.report(submission_id)

    again = client.post(URL, json=CODE, headers=headers)

    assert again.json["status"] == "completed"
    assert again.json["stdout"] == "Hi\n"


def test_a_spelt_out_default_is_the_same_request(client, student):
    headers = student.headers | {"Idempotency-Key": "key-1"}

    first = client.post(URL, json={"source": "1"}, headers=headers)
    second = client.post(URL, json={"stdin": "", "language": "python", "source": "1"}, headers=headers)

    assert first.json["id"] == second.json["id"]


@pytest.mark.parametrize("other", [{"source": "print(2)"}, {"stdin": "x"}])
def test_the_same_key_for_another_request_is_a_conflict(app, client, student, other):
    headers = student.headers | {"Idempotency-Key": "key-1"}
    client.post(URL, json=CODE, headers=headers)

    answer = client.post(URL, json=CODE | other, headers=headers)

    assert (answer.status_code, answer.json["code"]) == (409, "idempotency_key_reused")
    assert count_rows(app) == 1


def test_a_key_belongs_to_its_user(client, student, stranger):
    key = {"Idempotency-Key": "key-1"}

    first = client.post(URL, json=CODE, headers=student.headers | key)
    second = client.post(URL, json=CODE, headers=stranger.headers | key)

    assert first.json["id"] != second.json["id"]


def test_without_a_key_every_request_is_one_of_its_own(app, client, student):
    for _ in range(2):
        client.post(URL, json=CODE, headers=student.headers)

    assert count_rows(app) == 2


@pytest.mark.parametrize("main_url", ["sqlite"], indirect=True)
@pytest.mark.parametrize("key", ["", " ", "two words", "x" * 201, "ключ", "a\tb"])
def test_a_key_must_be_visible_ascii(app, client, student, key):
    answer = client.post(URL, json=CODE, headers=student.headers | {"Idempotency-Key": key})

    assert (answer.status_code, answer.json["code"]) == (422, "invalid_idempotency_key")
    assert count_rows(app) == 0


@pytest.mark.parametrize("key", ["x", "x" * 200, "!~;'\"%"])
def test_keys_of_every_allowed_shape_work(client, student, key):
    assert client.post(URL, json=CODE, headers=student.headers | {"Idempotency-Key": key}).status_code == 202


def in_parallel(count, work):
    start = threading.Barrier(count)
    answers = []

    def run():
        start.wait()
        answers.append(work())

    threads = [threading.Thread(target=run) for _ in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return answers


def test_eight_parallel_requests_with_one_key_make_one_submission(app, student):
    headers = student.headers | {"Idempotency-Key": "key-1"}

    answers = in_parallel(8, lambda: app.test_client().post(URL, json=CODE, headers=headers))

    assert [answer.status_code for answer in answers] == [202] * 8
    assert len({answer.json["id"] for answer in answers}) == 1
    assert sum("Idempotent-Replay" not in answer.headers for answer in answers) == 1
    assert count_rows(app) == 1


def test_nobody_slips_past_the_waiting_limit_by_sending_in_parallel(make_app, student):
    app = make_app(MAX_WAITING_PER_USER=3)

    answers = in_parallel(8, lambda: app.test_client().post(URL, json=CODE, headers=student.headers))

    assert sorted(answer.status_code for answer in answers) == [202] * 3 + [429] * 5
    assert count_rows(app) == 3
