"""Who may see what, pages that stay in order, and answers that cost little when nothing has changed."""

import base64
import json

import pytest
from sqlalchemy import event

from main_service.extensions import db


@pytest.fixture
def statements(app):
    """Every statement the app sends to its database, as it is sent."""
    seen: list[str] = []
    with app.app_context():
        engine = db.engine

    def note(_connection, _cursor, statement, *_):
        if not statement.startswith(("PRAGMA", "BEGIN")):
            seen.append(statement)

    event.listen(engine, "before_cursor_execute", note)
    yield seen
    event.remove(engine, "before_cursor_execute", note)


def test_owner_and_moderators_see_a_submission_and_nobody_else_learns_of_it(
    client, student, stranger, moderator, submit
):
    url = f"/api/submissions/{submit(student)}"

    answers = {who: client.get(url, headers=who.headers).status_code for who in (student, stranger, moderator)}
    of_nothing = client.get("/api/submissions/999999", headers=stranger.headers)
    of_anothers = client.get(url, headers=stranger.headers)

    assert answers == {student: 200, stranger: 404, moderator: 200}
    assert {key: of_nothing.json[key] for key in ("status", "code", "detail")} == {
        key: of_anothers.json[key] for key in ("status", "code", "detail")
    }


@pytest.mark.parametrize("main_url", ["sqlite"], indirect=True)
@pytest.mark.parametrize("odd", ["0", "-1", "abc", "1.0", "9223372036854775808", "9" * 40, "1%00", "٣"])
def test_what_is_no_id_is_not_found(client, student, odd):
    assert client.get(f"/api/submissions/{odd}", headers=student.headers).status_code == 404


def test_the_largest_id_there_can_be_is_just_not_found(client, student):
    assert client.get("/api/submissions/9223372036854775807", headers=student.headers).status_code == 404


def test_every_visible_change_has_a_new_etag(client, worker, student, submit):
    submission_id = submit(student)
    url = f"/api/submissions/{submission_id}"

    def etag():
        return client.get(url, headers=student.headers).headers["ETag"]

    seen = [etag()]
    worker.claim(submission_id)
    seen.append(etag())
    worker.report(submission_id)
    seen.append(etag())

    assert len(set(seen)) == 3
    assert all(tag.startswith('"') and tag.endswith('"') for tag in seen)


@pytest.mark.parametrize("written", ['"1"', 'W/"1"', '"7", "1"', "*"])
def test_nothing_new_is_a_304_without_reading_the_large_columns(client, student, submit, statements, written):
    url = f"/api/submissions/{submit(student)}"
    statements.clear()

    answer = client.get(url, headers=student.headers | {"If-None-Match": written})

    assert answer.status_code == 304
    assert answer.data == b""
    assert answer.headers["ETag"] == '"1"'
    assert len(statements) == 1
    assert "submissions.source" not in statements[0]
    assert "cells" not in statements[0]


@pytest.mark.parametrize("written", ['"2"', "nonsense", '"'])
def test_another_etag_gets_the_whole(client, student, submit, written):
    url = f"/api/submissions/{submit(student)}"

    answer = client.get(url, headers=student.headers | {"If-None-Match": written})

    assert answer.status_code == 200
    assert answer.json["source"] == "print()"


def test_a_stranger_gets_no_304_either(client, student, stranger, submit):
    url = f"/api/submissions/{submit(student)}"

    assert client.get(url, headers=stranger.headers | {"If-None-Match": '"1"'}).status_code == 404


# Lists ---------------------------------------------------------------------------------------------


def all_pages(client, caller, limit, **arguments):
    found, cursor = [], None
    while True:
        wanted = {"limit": limit} | arguments | ({"cursor": cursor} if cursor else {})
        page = client.get("/api/submissions", query_string=wanted, headers=caller.headers).json
        found.append([item["id"] for item in page["items"]])
        cursor = page["next_cursor"]
        if cursor is None:
            return found


def test_a_list_shows_ones_own_newest_first_without_programs_and_outputs(client, student, stranger, submit):
    submit(stranger)
    ids = [submit(student) for _ in range(3)]

    page = client.get("/api/submissions", headers=student.headers).json

    assert [item["id"] for item in page["items"]] == ids[::-1]
    assert page["next_cursor"] is None
    assert not {"source", "stdin", "stdout", "stderr", "cells", "graph", "error"} & set(page["items"][0])


@pytest.mark.parametrize("limit", [1, 2, 3, 5, 6])
def test_pages_together_are_the_whole_list(client, student, submit, limit):
    ids = [submit(student) for _ in range(6)]

    pages = all_pages(client, student, limit)

    assert [submission_id for page in pages for submission_id in page] == ids[::-1]
    assert all(len(page) == limit for page in pages[:-1])


def test_what_is_handed_in_meanwhile_moves_no_page(client, student, submit):
    ids = [submit(student) for _ in range(4)]
    first = client.get("/api/submissions?limit=2", headers=student.headers).json
    submit(student)
    submit(student)

    second = client.get(f"/api/submissions?limit=2&cursor={first['next_cursor']}", headers=student.headers).json

    assert [item["id"] for item in first["items"] + second["items"]] == ids[::-1]


def test_a_list_can_be_narrowed_to_one_status(client, worker, student, submit):
    ids = [submit(student) for _ in range(5)]
    for submission_id in ids[::2]:
        worker.claim(submission_id)

    assert all_pages(client, student, 2, status="running") == [[ids[4], ids[2]], [ids[0]]]
    assert all_pages(client, student, 2, status="queued") == [[ids[3], ids[1]]]
    assert all_pages(client, student, 2, status="cancelled") == [[]]


def test_a_list_costs_one_query_however_long_it_is(client, student, submit, statements):
    for _ in range(8):
        submit(student)
    statements.clear()

    client.get("/api/submissions?limit=8", headers=student.headers)

    assert len(statements) == 1
    assert "submissions.source" not in statements[0]


def encoded(value):
    return base64.urlsafe_b64encode(json.dumps(value).encode()).decode().rstrip("=")


@pytest.mark.parametrize("main_url", ["sqlite"], indirect=True)
@pytest.mark.parametrize(
    ("query", "pointer"),
    [
        ("limit=0", "/limit"),
        ("limit=101", "/limit"),
        ("limit=-1", "/limit"),
        ("limit=ten", "/limit"),
        ("limit=1e9", "/limit"),
        ("status=done", "/status"),
        ("status=", "/status"),
        ("page=2", "/page"),
        ("cursor=nonsense", "/cursor"),
        ("cursor=%00", "/cursor"),
        ("cursor=é", "/cursor"),
        ("cursor=" + "A" * 301, "/cursor"),
        ("cursor=" + encoded("x"), "/cursor"),
        ("cursor=" + encoded({}), "/cursor"),
        ("cursor=" + encoded([]), "/cursor"),
        ("cursor=" + encoded([1, 2]), "/cursor"),
        ("cursor=" + encoded(["1"]), "/cursor"),
        ("cursor=" + encoded([True]), "/cursor"),
        ("cursor=" + encoded([1.5]), "/cursor"),
        ("cursor=" + encoded([None]), "/cursor"),
        ("cursor=" + encoded([2**63]), "/cursor"),
        ("cursor=" + "W" * 300, "/cursor"),
    ],
)
def test_a_list_cannot_be_asked_for_what_makes_no_sense(client, student, query, pointer):
    answer = client.get(f"/api/submissions?{query}", headers=student.headers)

    assert answer.status_code == 422
    assert [error["pointer"] for error in answer.json["errors"]] == [pointer]


@pytest.mark.parametrize("edge", [2**63 - 1, -(2**63 - 1), 0])
def test_a_cursor_at_the_edge_is_an_empty_or_whole_page(client, student, submit, edge):
    submit(student)

    answer = client.get(f"/api/submissions?cursor={encoded([edge])}", headers=student.headers)

    assert answer.status_code == 200
    assert len(answer.json["items"]) == (1 if edge > 0 else 0)
