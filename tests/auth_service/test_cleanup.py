"""What is past its use goes, a bounded number at a time; what still guards somebody stays."""

from datetime import timedelta

import pytest
from sqlalchemy import func, select, update

from auth_service import cleanup
from auth_service.extensions import db
from auth_service.models import Allowance, AuditEvent, LoginDelay, RefreshToken, Session, utc_now
from tests.auth_service.people import PASSWORD

TABLES = (RefreshToken, Session, LoginDelay, Allowance, AuditEvent)


@pytest.fixture
def used(app_on_each_engine):
    """A service that somebody has used: each table has rows."""
    client = app_on_each_engine.test_client(use_cookies=False)
    order = {"login": "ann", "email": "ann@example.edu", "password": PASSWORD, "name": "Ann"}
    client.post("/api/auth/register", json=order)
    for _ in range(4):
        tokens = client.post("/api/auth/login", json={"login": "ann", "password": PASSWORD}).json
        client.post("/api/auth/refresh", json={"refresh_token": tokens["refresh_token"]})
        client.post("/api/auth/login", json={"login": "bob", "password": "wrong"})
    with app_on_each_engine.app_context():
        yield app_on_each_engine
        db.session.rollback()


def test_nothing_goes_while_it_is_of_use(used):
    before = _counts()

    cleanup.clean_up(1000)

    assert all(before.values())
    after = _counts()
    assert after.pop("allowances") >= 2  # Those that bob's failures drew on; a full one says nothing.
    assert after == {table: before[table] for table in after}


def test_everything_goes_when_its_time_is_over(used):
    long_ago = utc_now() - timedelta(days=400)
    db.session.execute(update(Session).values(expires_at=long_ago))
    db.session.execute(update(RefreshToken).values(expires_at=long_ago))
    db.session.execute(update(LoginDelay).values(forget_at=1.0))
    db.session.execute(update(Allowance).values(full_at=1.0))
    db.session.execute(update(AuditEvent).values(at=long_ago))
    db.session.commit()

    cleanup.clean_up(1000)

    assert not any(_counts().values())


def test_a_spent_token_of_a_live_session_stays_to_catch_its_second_use(used):
    db.session.execute(update(RefreshToken).values(used_at=utc_now() - timedelta(days=3)))
    db.session.commit()

    assert cleanup.clean_up(1000)["refresh_tokens"] == 0


def test_a_session_that_was_ended_goes_after_a_week(used):
    db.session.execute(update(Session).values(ended_at=utc_now() - timedelta(days=8)))
    db.session.commit()

    assert cleanup.clean_up(1000)["sessions"] == 4
    assert _counts()["refresh_tokens"] == 0


def test_one_run_takes_no_more_than_it_may(used):
    db.session.execute(update(AuditEvent).values(at=utc_now() - timedelta(days=400)))
    db.session.commit()
    before = _counts()["audit_events"]

    assert cleanup.clean_up(3)["audit_events"] == 3
    assert _counts()["audit_events"] == before - 3


def test_the_command_cleans_up_and_says_what_went(app, ann):
    with app.app_context():
        db.session.execute(update(AuditEvent).values(at=utc_now() - timedelta(days=400)))
        db.session.commit()

    done = app.test_cli_runner().invoke(args=["cleanup", "--rows", "1"])

    assert done.exit_code == 0
    assert "audit_events: 1" in done.output


def test_now_and_then_a_login_takes_a_few_rows_along(app, client, ann, monkeypatch):
    monkeypatch.setattr(cleanup, "_LOGINS_PER_CLEANUP", 1)
    with app.app_context():
        db.session.execute(update(AuditEvent).values(at=utc_now() - timedelta(days=400)))
        db.session.commit()

    ann.log_in()

    with app.app_context():
        assert db.session.execute(select(func.count()).select_from(AuditEvent)).scalar_one() == 1
        db.session.rollback()


def _counts():
    counts = {
        table.__tablename__: db.session.execute(select(func.count()).select_from(table)).scalar_one()
        for table in TABLES
    }
    db.session.rollback()
    return counts
