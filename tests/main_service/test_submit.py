"""Handing a submission in: what is taken, what is refused, and what the answer promises."""

from typing import Any

import pytest

from main_service.app import create_app
from main_service.config import Config
from main_service.extensions import db
from main_service.models import Submission

CODE = {"source": 'print("Hi")', "language": "python"}

SUBMISSION_KEYS = {
    *("id", "status", "language", "lab_id", "source", "stdin", "run_time", "wall_time", "memory_used"),
    *("memory_source", "isolation", "score", "max_score", "stdout", "stderr", "error", "cells", "tests", "graph"),
    *("created_at", "published_at", "claimed_at", "started_at", "finished_at", "attempt", "rerun_of", "request_id"),
}


def count_rows(app):
    with app.app_context():
        return db.session.query(Submission.id).count()


def test_a_submission_is_taken_in_with_the_broker_away(client, student):
    answer = client.post("/api/submissions", json=CODE, headers=student.headers | {"X-Request-Id": "one-of-ours"})

    assert answer.status_code == 202
    assert set(answer.json) == SUBMISSION_KEYS
    assert answer.headers["Location"] == f"/api/submissions/{answer.json['id']}"
    assert answer.headers["ETag"] == '"1"'
    assert {name: answer.json[name] for name in ("status", "language", "source", "stdin", "attempt", "request_id")} == {
        "status": "queued",
        "language": "python",
        "source": 'print("Hi")',
        "stdin": "",
        "attempt": 0,
        "request_id": "one-of-ours",
    }
    assert answer.json["cells"] == answer.json["tests"] == []
    assert answer.json["created_at"].endswith("+00:00")
    assert answer.json["published_at"] is None


def test_python_is_meant_when_no_language_is_named(client, student):
    answer = client.post("/api/submissions", json={"source": "1"}, headers=student.headers)

    assert answer.json["language"] == "python"


@pytest.mark.parametrize("main_url", ["sqlite"], indirect=True)
@pytest.mark.parametrize(
    ("body", "status", "code", "pointer"),
    [
        ({"language": "python"}, 422, "validation_failed", "/source"),
        (CODE | {"source": None}, 422, "validation_failed", "/source"),
        (CODE | {"source": 5}, 422, "validation_failed", "/source"),
        (CODE | {"source": ["print()"]}, 422, "validation_failed", "/source"),
        (CODE | {"source": ""}, 422, "validation_failed", "/source"),
        (CODE | {"source": " \n\t"}, 422, "validation_failed", "/source"),
        (CODE | {"source": "a\0b"}, 422, "validation_failed", "/source"),
        (CODE | {"source": "\ud800"}, 422, "validation_failed", "/source"),
        (CODE | {"stdin": "\0"}, 422, "validation_failed", "/stdin"),
        (CODE | {"stdin": None}, 422, "validation_failed", "/stdin"),
        (CODE | {"language": "cobol"}, 422, "language_unavailable", "/language"),
        (CODE | {"language": "\ud800"}, 422, "language_unavailable", "/language"),
        (CODE | {"language": "a\0"}, 422, "language_unavailable", "/language"),
        (CODE | {"language": ""}, 422, "validation_failed", "/language"),
        (CODE | {"language": None}, 422, "validation_failed", "/language"),
        (CODE | {"language": "x" * 33}, 422, "validation_failed", "/language"),
        (CODE | {"user_id": 1}, 422, "validation_failed", "/user_id"),
        (CODE | {"status": "accepted"}, 422, "validation_failed", "/status"),
        ([CODE], 422, "validation_failed", ""),
        ("source", 422, "validation_failed", ""),
        (None, 422, "validation_failed", "/source"),
        (CODE | {"source": "é" * 51}, 413, "source_too_large", "/source"),
        (CODE | {"stdin": "x" * 51}, 413, "stdin_too_large", "/stdin"),
    ],
)
def test_bad_input_is_refused_and_leaves_no_row(make_app, student, body, status, code, pointer):
    app = make_app(MAX_SOURCE_BYTES=100, MAX_STDIN_BYTES=50)

    answer = app.test_client().post("/api/submissions", json=body, headers=student.headers)

    assert (answer.status_code, answer.json["code"]) == (status, code)
    assert pointer in [error["pointer"] for error in answer.json["errors"]]
    assert count_rows(app) == 0


@pytest.mark.parametrize("main_url", ["sqlite"], indirect=True)
@pytest.mark.parametrize(
    ("data", "content_type", "status"),
    [
        (b"{", "application/json", 400),
        (b"", "application/json", 422),
        (b"\xff\xfe", "application/json", 400),
        (b"[" * 3000, "application/json", 400),
        (b"1" * 3000, "application/json", 422),
        (b'{"source": NaN}', "application/json", 422),
        (b"source=print()", "application/x-www-form-urlencoded", 415),
        (b"print()", "text/x-python", 415),
        (b'{"source": "' + b"x" * 10_000 + b'"}', "application/json", 413),
    ],
)
def test_a_body_that_cannot_be_read_is_the_senders_error(make_app, student, data, content_type, status):
    client = make_app(MAX_SOURCE_BYTES=100, MAX_STDIN_BYTES=50).test_client()

    answer = client.post("/api/submissions", data=data, content_type=content_type, headers=student.headers)

    assert answer.status_code == status
    assert answer.content_type == "application/problem+json"


def test_a_source_as_long_as_allowed_is_taken_however_json_spells_it(make_app, student):
    client = make_app(MAX_SOURCE_BYTES=9000, MAX_STDIN_BYTES=0).test_client()
    spelt_out = b'{"source": "' + b"\\u0061" * 9000 + b'"}'

    answer = client.post("/api/submissions", data=spelt_out, content_type="application/json", headers=student.headers)

    assert answer.status_code == 202
    assert answer.json["source"] == "a" * 9000


def test_text_comes_back_as_it_was_sent(client, student):
    source = 'print("Привет 👋\\u2028\x7f\x1b[0m")\r\n\t'

    created = client.post("/api/submissions", json={"source": source, "stdin": "ü\n"}, headers=student.headers)
    read = client.get(created.headers["Location"], headers=student.headers)

    assert read.json["source"] == source
    assert read.json["stdin"] == "ü\n"


def test_who_has_too_many_waiting_must_wait(make_app, student, stranger):
    client = make_app(MAX_WAITING_PER_USER=2).test_client()
    for _ in range(2):
        assert client.post("/api/submissions", json=CODE, headers=student.headers).status_code == 202

    refused = client.post("/api/submissions", json=CODE, headers=student.headers)
    of_another = client.post("/api/submissions", json=CODE, headers=stranger.headers)

    assert (refused.status_code, refused.json["code"]) == (429, "too_many_waiting")
    assert int(refused.headers["Retry-After"]) > 0
    assert of_another.status_code == 202


def test_a_long_outage_of_the_broker_is_said_instead_of_piling_up_rows(make_app, student):
    client = make_app(MAX_UNPUBLISHED=2).test_client()
    for _ in range(2):
        assert client.post("/api/submissions", json=CODE, headers=student.headers).status_code == 202

    refused = client.post("/api/submissions", json=CODE, headers=student.headers)

    assert (refused.status_code, refused.json["code"]) == (503, "too_many_unpublished")
    assert refused.headers["Retry-After"] == "30"


@pytest.mark.parametrize("url", ["sqlite:////nowhere/at/all.sqlite3", "postgresql://labs@/labs?host=/nowhere"])
def test_a_database_that_is_away_is_a_503_to_try_again(settings, student, url):
    app = create_app(Config.from_env(settings | {"DATABASE_URL_MAIN": url}))

    answer: Any = app.test_client().post("/api/submissions", json=CODE, headers=student.headers)

    assert (answer.status_code, answer.json["code"]) == (503, "database_unavailable")
    assert answer.headers["Retry-After"] == "2"
    assert "nowhere" not in answer.text
