"""Registering, logging in, the profile and the password."""

import threading
import uuid

import pytest
from sqlalchemy import select

from auth_service.extensions import db
from auth_service.models import User
from tests.auth_service.people import PASSWORD, Person, registration


def test_a_newcomer_registers_as_a_student_and_the_password_does_not_come_back(client):
    answer = client.post("/api/auth/register", json=registration("Ann_1", name="  Анна П.  "))

    assert answer.status_code == 201
    assert set(answer.json) == {"id", "login", "email", "name", "role", "created_at"}
    assert answer.json["role"] == "student"
    assert answer.json["name"] == "Анна П."
    assert answer.json["login"] == "Ann_1"
    assert answer.json["created_at"].endswith("+00:00")


@pytest.mark.parametrize(
    ("changes", "code", "pointer"),
    [
        ({"login": "ANN", "email": "other@example.edu"}, "login_taken", "/login"),
        ({"login": "bob", "email": "Ann@Example.EDU"}, "email_taken", "/email"),
        ({}, "login_taken", "/login"),
    ],
)
def test_a_login_or_email_taken_in_any_case_is_a_conflict(client, ann, changes, code, pointer):
    answer = client.post("/api/auth/register", json=registration("ann", **changes))

    assert answer.status_code == 409
    assert answer.json["code"] == code
    assert answer.json["errors"][0]["pointer"] == pointer


def test_two_who_register_the_same_login_at_once_get_one_account(app_on_each_engine):
    answers = _at_once(
        4,
        lambda n: app_on_each_engine.test_client().post(
            "/api/auth/register", json=registration("twin", email=f"twin{n}@example.edu")
        ),
    )

    assert sorted(answer.status_code for answer in answers) == [201, 409, 409, 409]
    assert {answer.json["code"] for answer in answers if answer.status_code == 409} == {"login_taken"}


@pytest.mark.parametrize(
    ("changes", "pointer"),
    [
        ({"login": "ab"}, "/login"),
        ({"login": "a" * 33}, "/login"),
        ({"login": "ann smith"}, "/login"),
        ({"login": "ann\n"}, "/login"),
        ({"login": "анна"}, "/login"),
        ({"login": "ann@home"}, "/login"),
        ({"login": 7}, "/login"),
        ({"login": None}, "/login"),
        ({"email": "ann"}, "/email"),
        ({"email": "ann@localhost"}, "/email"),
        ({"email": "ann@exa mple.edu"}, "/email"),
        ({"email": "ann@example.edu\x00"}, "/email"),
        ({"email": "ann@example.edu, bob@example.edu"}, "/email"),
        ({"email": "a" * 65 + "@example.edu"}, "/email"),
        ({"email": "a@" + "b" * 63 + ("." + "c" * 63) * 3 + ".edu"}, "/email"),
        ({"name": "   "}, "/name"),
        ({"name": "a" * 101}, "/name"),
        ({"name": "An\x00n"}, "/name"),
        ({"name": "Ann\u202egpj"}, "/name"),
        ({"name": "\ud83d"}, "/name"),
        ({"name": ["Ann"]}, "/name"),
        ({"password": ""}, "/password"),
        ({"password": "x" * 257}, "/password"),
        ({"password": "half a pair \udc00 here"}, "/password"),
        ({"password": 1234567890}, "/password"),
        ({"role": "admin"}, "/role"),
        ({"id": 1}, "/id"),
    ],
)
def test_a_bad_value_is_named_and_nobody_is_registered(shared_app, changes, pointer):
    client, login = shared_app.test_client(), f"new-{uuid.uuid4().hex[:8]}"

    answer = client.post("/api/auth/register", json=registration(login, **changes))

    assert answer.status_code == 422
    assert answer.content_type == "application/problem+json"
    assert pointer in [error["pointer"] for error in answer.json["errors"]]
    assert client.post("/api/auth/register", json=registration(login)).status_code == 201


@pytest.mark.parametrize("field", ["login", "email", "password", "name"])
def test_a_missing_value_is_named(client, field):
    body = registration("newcomer")
    del body[field]

    answer = client.post("/api/auth/register", json=body)

    assert answer.status_code == 422
    assert [error["pointer"] for error in answer.json["errors"]] == [f"/{field}"]


@pytest.mark.parametrize("name", ["login", "LOGIN", "email"])
def test_login_works_with_login_or_email_in_any_case(client, ann, name):
    identifier = {"login": "ann", "LOGIN": "ANN", "email": "ANN@example.edu"}[name]

    answer = client.post("/api/auth/login", json={"login": identifier, "password": PASSWORD})

    assert answer.status_code == 200
    assert answer.json["token_type"] == "Bearer"
    assert answer.json["expires_in"] == 900
    assert answer.json["user"] == ann.user
    assert "csrf_token" not in answer.json
    assert "Set-Cookie" not in answer.headers
    assert answer.headers["Cache-Control"] == "no-store"


@pytest.mark.parametrize(
    "body",
    [
        {"login": "ann", "password": PASSWORD + "x"},
        {"login": "ann", "password": PASSWORD.upper()},
        {"login": "ann", "password": PASSWORD + " "},
        {"login": "nobody", "password": PASSWORD},
        {"login": "nobody@example.edu", "password": PASSWORD},
        {"login": "ann\x00", "password": PASSWORD},
        {"login": "\ud800", "password": PASSWORD},
        {"login": "' OR 1=1 --", "password": PASSWORD},
        {"login": "ann", "password": "🔑" * 64},
        {"login": "ann", "password": "\x00" * 100},
        {"login": "ann", "password": "x" * 256},
    ],
)
def test_wrong_credentials_get_one_and_the_same_answer(app_on_each_engine, body):
    client = app_on_each_engine.test_client()
    Person.join(client, "ann")

    answer = client.post("/api/auth/login", json=body, headers={"X-Request-Id": "same-request-id"})

    assert answer.status_code == 401
    assert answer.headers["WWW-Authenticate"] == "Bearer"
    assert answer.json == {
        "type": "about:blank",
        "title": "Unauthorized",
        "status": 401,
        "detail": "Login or password is not right.",
        "code": "wrong_credentials",
        "request_id": "same-request-id",
        "errors": [],
    }


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"", 422),
        (b"{", 400),
        (b"[]", 422),
        (b"null", 422),
        (b'"login"', 422),
        (b'{"login": "ann"}', 422),
        (b'{"login": "ann", "password": "x", "extra": 1}', 422),
        (b'{"login": {"$ne": ""}, "password": "x"}', 422),
        (b'{"login": "ann", "password": "x", "transport": "pigeon"}', 422),
        (b"\xff\xfe{}", 400),
        (b"[" * 5000 + b"]" * 5000, 400),
        (b'{"login": "ann", "password": "' + b"x" * 20_000 + b'"}', 413),
        (b'{"login": "ann", "password": "' + b"x" * 300 + b'"}', 422),
    ],
)
@pytest.mark.parametrize("path", ["register", "login", "refresh", "logout"])
def test_a_malformed_body_is_a_problem_never_a_crash(shared_app, path, body, status):
    answer = shared_app.test_client().post(f"/api/auth/{path}", data=body, content_type="application/json")

    assert 400 <= answer.status_code < 500
    assert answer.content_type == "application/problem+json"
    if path == "login":
        assert answer.status_code == status


def test_a_body_that_is_not_json_is_415(client):
    answer = client.post(
        "/api/auth/login", data="login=ann&password=x", content_type="application/x-www-form-urlencoded"
    )

    assert answer.status_code == 415
    assert answer.content_type == "application/problem+json"


def test_me_tells_who_i_am_and_changes_my_name(ann):
    before = ann.get("/api/auth/me")
    changed = ann.client.patch(
        "/api/auth/me", json={"name": "Ann the Second"}, headers=ann.headers | {"If-Match": before.headers["ETag"]}
    )
    late = ann.client.patch(
        "/api/auth/me", json={"name": "Ann the Third"}, headers=ann.headers | {"If-Match": before.headers["ETag"]}
    )

    assert before.json == ann.user
    assert changed.status_code == 200
    assert changed.json["name"] == "Ann the Second"
    assert changed.headers["ETag"] != before.headers["ETag"]
    assert late.status_code == 412
    assert ann.get("/api/auth/me").json["name"] == "Ann the Second"


@pytest.mark.parametrize("if_match", [None, "*"])
def test_a_name_can_be_changed_without_having_read_it(ann, if_match):
    headers = ann.headers | ({"If-Match": if_match} if if_match else {})

    answer = ann.client.patch("/api/auth/me", json={"name": "New"}, headers=headers)

    assert answer.status_code == 200


@pytest.mark.parametrize("body", [{}, {"role": "admin"}, {"name": "x", "email": "new@example.edu"}, {"name": ""}])
def test_only_a_good_name_can_be_changed(ann, body):
    answer = ann.client.patch("/api/auth/me", json=body, headers=ann.headers)

    assert answer.status_code == 422
    assert ann.get("/api/auth/me").json == ann.user


def test_a_changed_password_ends_the_other_sessions_and_keeps_this_one(client, ann):
    elsewhere = Person(client, "ann", ann.user)
    elsewhere.log_in()

    changed = ann.post("/api/auth/password", {"current_password": PASSWORD, "new_password": "amber whistle 12 fog"})

    assert changed.status_code == 204
    assert ann.get("/api/auth/me").status_code == 200
    assert ann.refresh().status_code == 200
    assert elsewhere.get("/api/auth/me").status_code == 401
    assert elsewhere.refresh().status_code == 401
    old, new = (
        client.post("/api/auth/login", json={"login": "ann", "password": password})
        for password in (PASSWORD, "amber whistle 12 fog")
    )
    assert (old.status_code, new.status_code) == (401, 200)


def test_a_password_change_needs_the_current_password(ann):
    answer = ann.post("/api/auth/password", {"current_password": "something else", "new_password": "amber whistle 12"})

    assert answer.status_code == 422
    assert answer.json["code"] == "wrong_password"
    assert answer.json["errors"][0]["pointer"] == "/current_password"


def test_the_new_password_must_follow_the_rules_too(ann):
    answer = ann.post("/api/auth/password", {"current_password": PASSWORD, "new_password": "1234567890"})

    assert answer.status_code == 422
    assert answer.json["code"] == "weak_password"
    assert answer.json["errors"][0]["pointer"] == "/new_password"


def test_who_just_lost_the_password_cannot_finish_a_login_begun_with_it(app, client, ann, monkeypatch):
    """The check takes a while outside any transaction; the owner changes the password meanwhile."""
    check = User.check_password

    def check_while_the_owner_changes_it(user: User, password: str) -> bool:
        matches = check(user, password)
        monkeypatch.setattr(User, "check_password", check)
        changed = _in_a_thread(
            lambda: Person(app.test_client(), "ann", ann.user, ann.tokens).post(
                "/api/auth/password", {"current_password": PASSWORD, "new_password": "amber whistle 12 fog"}
            )
        )
        assert changed.status_code == 204
        return matches

    monkeypatch.setattr(User, "check_password", check_while_the_owner_changes_it)

    answer = client.post("/api/auth/login", json={"login": "ann", "password": PASSWORD})

    assert answer.status_code == 401


def test_the_database_itself_refuses_a_role_we_do_not_know(app_on_each_engine):
    from sqlalchemy import text
    from sqlalchemy.exc import IntegrityError

    Person.join(app_on_each_engine.test_client(), "ann")
    with app_on_each_engine.app_context():
        with pytest.raises(IntegrityError):
            db.session.execute(text("UPDATE users SET role = 'root'"))
        db.session.rollback()
        assert db.session.execute(select(User.role)).scalar_one() == "student"


def _in_a_thread(act):
    results = []
    thread = threading.Thread(target=lambda: results.append(act()))
    thread.start()
    thread.join()
    return results[0]


def _at_once(count, act):
    gate = threading.Barrier(count)
    results = []

    def run(n):
        gate.wait()
        results.append(act(n))

    threads = [threading.Thread(target=run, args=(n,)) for n in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return results
