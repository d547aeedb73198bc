"""What happened is written down and never rewritten; what is secret is written nowhere."""

import pytest
from sqlalchemy import select, text

from auth_service.extensions import db
from auth_service.models import AuditEvent, AuditKind
from tests.auth_service.people import PASSWORD, Person, bearer, registration

CANARY = "canary-Tr0ub4dor-sings"


def test_the_life_of_an_account_can_be_read_afterwards(app, client, ann):
    client.post("/api/auth/login", json={"login": "ann", "password": "wrong"})
    client.post("/api/auth/login", json={"login": "nobody", "password": "wrong"})
    ann.client.patch("/api/auth/me", json={"name": "New"}, headers=ann.headers)
    ann.post("/api/auth/password", {"current_password": PASSWORD, "new_password": "amber whistle 12 fog"})
    ann.post("/api/auth/logout")

    events = _events(app)

    assert [(event.kind, event.user_id) for event in events] == [
        (AuditKind.REGISTERED, 1),
        (AuditKind.LOGGED_IN, 1),
        (AuditKind.LOGIN_FAILED, 1),
        (AuditKind.LOGIN_FAILED, None),
        (AuditKind.PROFILE_CHANGED, 1),
        (AuditKind.PASSWORD_CHANGED, 1),
        (AuditKind.LOGGED_OUT, 1),
    ]


def test_an_event_says_which_request_from_where_with_what(app, client, ann):
    client.post(
        "/api/auth/login",
        json={"login": "ann", "password": "wrong"},
        headers={"X-Request-Id": "request-0001", "X-Forwarded-For": "192.0.2.7", "User-Agent": "Browser/1"},
    )

    event = _events(app)[-1]

    assert (event.request_id, event.ip, event.user_agent) == ("request-0001", "192.0.2.7", "Browser/1")


@pytest.mark.parametrize("act", ["change", "delete"])
def test_history_cannot_be_rewritten_by_our_own_code(app, ann, act):
    with app.app_context():
        event = db.session.execute(select(AuditEvent).limit(1)).scalar_one()
        if act == "change":
            event.ip = "0.0.0.0"
        else:
            db.session.delete(event)
        with pytest.raises(RuntimeError, match="only ever added"):
            db.session.flush()
        db.session.rollback()


def test_no_password_and_no_token_is_ever_written_to_log_or_database(capsys, make_app):
    """The canary goes in at every place where a password or a token may, and must come out nowhere."""
    app = make_app(LOG_LEVEL="DEBUG")
    client = app.test_client()
    secrets = {CANARY, CANARY + "-2"}

    def post(path, body, **headers):
        answer = client.post(f"/api/auth/{path}", json=body, headers=headers)
        assert CANARY not in answer.get_data(as_text=True)
        if answer.status_code == 200:
            secrets.update(
                answer.json[name] for name in ("access_token", "refresh_token", "csrf_token") if name in answer.json
            )
        return answer

    post("register", registration("ann", password=CANARY))
    post("register", registration("ann", password=CANARY))
    post("register", registration(CANARY + "-login-is-far-too-long-for-us", password=CANARY))
    post("register", registration("bob", password=CANARY, email=CANARY, extra=CANARY))
    tokens = post("login", {"login": "ann", "password": CANARY}).json
    post("login", {"login": "ann", "password": CANARY, "transport": "cookie"})
    for _ in range(7):
        post("login", {"login": CANARY, "password": "typed in the wrong box"})
        post("login", {"login": "ann@example.edu", "password": CANARY + "x"})
    renewed = post("refresh", {"refresh_token": tokens["refresh_token"]}).json
    post("refresh", {"refresh_token": tokens["refresh_token"]})
    post("refresh", {"refresh_token": tokens["refresh_token"][:-2] + "xx"})
    post("refresh", {"refresh_token": CANARY})
    post("password", {"current_password": CANARY, "new_password": CANARY + "-2"}, **bearer(renewed["access_token"]))
    post("password", {"current_password": CANARY, "new_password": "short"}, **bearer(renewed["access_token"]))
    client.get(f"/api/auth/me?token={CANARY}", headers=bearer(renewed["access_token"]))
    client.get(f"/api/auth/{CANARY}", headers={"User-Agent": "x", "X-Request-Id": CANARY + "!"})
    client.get("/internal/verify", headers=bearer(renewed["access_token"]))
    with app.app_context():
        db.session.execute(text("UPDATE users SET password_hash = 'broken'"))
        db.session.commit()
    post("login", {"login": "ann", "password": CANARY}, **{"X-Forwarded-For": "192.0.2.1"})
    with app.app_context():
        db.session.execute(text("DROP TABLE refresh_tokens"))
        db.session.commit()
    assert post("refresh", {"refresh_token": renewed["refresh_token"]}).status_code == 500

    written = capsys.readouterr().out + _everything_stored(app)
    assert '"message": "login_failed"' in written
    assert "unexpected_error" in written
    for secret in secrets:
        assert secret not in written
        assert secret.rpartition(".")[2] not in written  # A JWT's signature alone.


def _events(app) -> list[AuditEvent]:
    with app.app_context():
        events = list(db.session.execute(select(AuditEvent).order_by(AuditEvent.id)).scalars())
        db.session.commit()
        return events


def _everything_stored(app) -> str:
    with app.app_context():
        rows = [
            str(db.session.execute(table.select()).all())
            for table in db.metadata.sorted_tables
            if table.name != "refresh_tokens"
        ]
        db.session.rollback()
        return "\n".join(rows)


def test_a_person_is_named_by_id_in_the_log(capsys, make_app):
    client = make_app().test_client()
    Person.join(client, "ann")

    log = capsys.readouterr().out

    assert '"user_id": 1' in log
    assert "ann@example.edu" not in log


def test_a_statement_that_fails_does_not_show_its_values(capsys, make_app):
    app = make_app()
    with app.app_context():
        db.session.execute(text("CREATE TRIGGER full BEFORE INSERT ON users BEGIN SELECT RAISE(ABORT, 'full'); END"))
        db.session.commit()

    answer = app.test_client().post("/api/auth/register", json=registration("ann"))

    log = capsys.readouterr().out
    assert answer.status_code == 500
    assert "IntegrityError" in log
    assert "ann@example.edu" not in log
    assert "p1$" not in log
