"""Refresh tokens rotate, a second use is noticed, and sessions end when they are told to."""

import threading
from datetime import timedelta

import jwt
import pytest
from flask import Flask
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test
from sqlalchemy import select, update

from auth_service.extensions import db
from auth_service.models import AuditEvent, AuditKind, RefreshToken, Session, utc_now
from tests.auth_service.people import PASSWORD, Person, bearer, body_of


def test_a_refresh_gives_a_new_pair_of_the_same_session(ann):
    answer = ann.refresh()

    assert answer.status_code == 200
    assert answer.json["refresh_token"] != ann.tokens["refresh_token"]
    assert answer.json["access_token"] != ann.tokens["access_token"]
    assert answer.json["user"] == ann.user
    assert _sid(answer.json["access_token"]) == _sid(ann.tokens["access_token"])
    assert ann.client.get("/api/auth/me", headers=bearer(answer.json["access_token"])).status_code == 200


def test_the_new_refresh_token_works_and_so_on(ann):
    for _ in range(5):
        answer = ann.refresh()
        assert answer.status_code == 200
        ann.tokens = answer.json


def test_a_token_used_a_moment_ago_is_a_conflict_and_harms_nobody(ann):
    first = ann.refresh().json

    again = ann.refresh()

    assert again.status_code == 409
    assert again.json["code"] == "refresh_already_rotated"
    assert ann.refresh(first["refresh_token"]).status_code == 200


def test_a_token_used_again_later_ends_the_whole_session(app, ann):
    newer = ann.refresh().json
    _let_pass(app, timedelta(seconds=11))

    again = ann.refresh()

    assert again.status_code == 401
    assert again.json["code"] == "refresh_token_reused"
    assert ann.refresh(newer["refresh_token"]).json["code"] == "session_ended"
    assert ann.client.get("/api/auth/me", headers=bearer(newer["access_token"])).status_code == 401
    assert AuditKind.REFRESH_REUSED in _audited(app)


def test_reuse_in_one_session_leaves_the_others_alone(app, client, ann):
    elsewhere = Person(client, "ann", ann.user)
    elsewhere.log_in()
    ann.refresh()
    _let_pass(app, timedelta(seconds=11))

    ann.refresh()

    assert elsewhere.refresh().status_code == 200


def test_of_many_who_refresh_the_same_token_at_once_exactly_one_wins(app_on_each_engine):
    ann = Person.join(app_on_each_engine.test_client(use_cookies=False), "ann")
    count, gate, answers = 6, threading.Barrier(6), []

    def refresh() -> None:
        client = app_on_each_engine.test_client(use_cookies=False)
        gate.wait()
        answers.append(client.post("/api/auth/refresh", json={"refresh_token": ann.tokens["refresh_token"]}))

    threads = [threading.Thread(target=refresh) for _ in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert sorted(answer.status_code for answer in answers) == [200] + [409] * (count - 1)
    winner = next(answer for answer in answers if answer.status_code == 200)
    assert ann.refresh(winner.json["refresh_token"]).status_code == 200
    with app_on_each_engine.app_context():
        generations = db.session.execute(select(RefreshToken.generation).order_by(RefreshToken.generation)).scalars()
        assert list(generations) == [1, 2, 3]
        db.session.rollback()


def test_logging_out_and_refreshing_at_once_ends_logged_out(app_on_each_engine):
    ann = Person.join(app_on_each_engine.test_client(use_cookies=False), "ann")
    gate, refreshed = threading.Barrier(2), []

    def refresh() -> None:
        client = app_on_each_engine.test_client(use_cookies=False)
        gate.wait()
        refreshed.append(client.post("/api/auth/refresh", json={"refresh_token": ann.tokens["refresh_token"]}))

    thread = threading.Thread(target=refresh)
    thread.start()
    gate.wait()
    assert ann.post("/api/auth/logout").status_code == 204
    thread.join()

    latest = refreshed[0].json["refresh_token"] if refreshed[0].status_code == 200 else ann.tokens["refresh_token"]
    assert ann.refresh(latest).status_code == 401


def test_an_idle_session_expires(app, ann):
    _let_pass(app, timedelta(days=7, seconds=1))

    assert ann.refresh().status_code == 401
    assert ann.get("/api/auth/me").status_code == 401
    assert ann.log_in()["refresh_token"]


def test_a_session_that_is_used_goes_on_past_a_week_but_not_past_its_absolute_end(app, ann):
    for _ in range(4):
        _let_pass(app, timedelta(days=6))
        answer = ann.refresh()
        assert answer.status_code == 200
        ann.tokens = answer.json
    _let_pass(app, timedelta(days=5))

    last = ann.refresh()
    _let_pass(app, timedelta(days=1, seconds=1))

    # Twenty-nine days old: the last token gets only the day that is left, not another week.
    claims = jwt.decode(last.json["refresh_token"], options={"verify_signature": False})
    assert claims["exp"] - claims["iat"] <= 86_400
    assert ann.refresh(last.json["refresh_token"]).status_code == 401


@pytest.mark.parametrize("by", ["access token", "refresh token"])
def test_logging_out_ends_the_session_and_twice_is_once(client, ann, by):
    def log_out():
        if by == "access token":
            return ann.post("/api/auth/logout")
        return client.post("/api/auth/logout", json={"refresh_token": ann.tokens["refresh_token"]})

    assert [log_out().status_code, log_out().status_code] == [204, 204]
    assert ann.get("/api/auth/me").status_code == 401
    assert ann.refresh().status_code == 401


def test_logging_out_without_any_token_is_401(client):
    answer = client.post("/api/auth/logout")

    assert answer.status_code == 401
    assert answer.json["code"] == "refresh_token_missing"


def test_i_see_where_i_am_logged_in(app, client, ann):
    client.post(
        "/api/auth/login",
        json={"login": "ann", "password": PASSWORD},
        headers={"User-Agent": "Phone\x01/1 " + "x" * 300, "X-Forwarded-For": "2001:db8::7"},
    )

    items = ann.get("/api/auth/sessions").json["items"]

    assert [item["ip"] for item in items] == ["2001:db8::7", "127.0.0.1"]
    assert [item["is_current"] for item in items] == [False, True]
    assert items[0]["user_agent"].startswith("Phone/1 xxx")
    assert len(items[0]["user_agent"]) == 200
    assert set(items[0]) == {"id", "created_at", "last_used_at", "expires_at", "ip", "user_agent", "is_current"}


def test_i_can_end_a_session_elsewhere(client, ann):
    elsewhere = Person(client, "ann", ann.user)
    elsewhere.log_in()

    ended = ann.client.delete(f"/api/auth/sessions/{_sid(elsewhere.tokens['access_token'])}", headers=ann.headers)

    assert ended.status_code == 204
    assert elsewhere.get("/api/auth/me").status_code == 401
    assert elsewhere.refresh().status_code == 401
    assert len(ann.get("/api/auth/sessions").json["items"]) == 1


def test_i_can_end_all_sessions_but_this_one(client, ann):
    elsewhere = Person(client, "ann", ann.user)
    elsewhere.log_in()

    assert ann.client.delete("/api/auth/sessions", headers=ann.headers).status_code == 204

    assert elsewhere.refresh().status_code == 401
    assert ann.refresh().status_code == 200


def test_i_cannot_see_or_end_somebody_elses_session(client, ann):
    bob = Person.join(client, "bob")

    ended = bob.client.delete(f"/api/auth/sessions/{_sid(ann.tokens['access_token'])}", headers=bob.headers)

    assert ended.status_code == 404
    assert len(body_of(bob.get("/api/auth/sessions"))["items"]) == 1
    assert ann.get("/api/auth/me").status_code == 200


@pytest.mark.parametrize("session_id", ["1", "null", "%00", "00000000-0000-4000-8000-000000000000", "' OR 1=1"])
def test_a_session_that_does_not_exist_is_404(ann, session_id):
    answer = ann.client.delete(f"/api/auth/sessions/{session_id}", headers=ann.headers)

    assert answer.status_code == 404
    assert answer.content_type == "application/problem+json"


class Sessions(RuleBasedStateMachine):
    """Whatever is done in whatever order: a session that has ended never refreshes again, a live one does."""

    app: Flask
    number = 0

    def __init__(self):
        super().__init__()
        Sessions.number += 1
        client = self.app.test_client(use_cookies=False)
        self.person = Person.join(client, f"user{Sessions.number}")
        self.live = {self._session(): self.person.tokens}
        self.spent = {}
        self.ended = {}

    def _session(self):
        return _sid(self.person.tokens["access_token"])

    def _pick(self, data, sessions):
        return data.draw(st.sampled_from(sorted(sessions)))

    def _end(self, *sessions):
        for session in sessions:
            self.ended[session] = self.live.pop(session)

    @rule()
    def log_in(self):
        self.person.log_in()
        self.live[self._session()] = self.person.tokens

    @precondition(lambda self: self.live)
    @rule(data=st.data())
    def refresh(self, data):
        session = self._pick(data, self.live)
        old = self.live[session]
        answer = self.person.refresh(old["refresh_token"])
        assert answer.status_code == 200
        self.live[session] = body_of(answer)
        self.spent.setdefault(session, []).append(old["refresh_token"])

    @precondition(lambda self: any(session in self.live for session in self.spent))
    @rule(data=st.data(), late=st.booleans())
    def use_a_spent_token(self, data, late):
        session = self._pick(data, self.live.keys() & self.spent.keys())
        if late:
            with self.app.app_context():
                db.session.execute(
                    update(RefreshToken)
                    .where(RefreshToken.session_id == session, RefreshToken.used_at.is_not(None))
                    .values(used_at=utc_now() - timedelta(seconds=11))
                )
                db.session.commit()
        answer = self.person.refresh(data.draw(st.sampled_from(self.spent[session])))
        assert answer.status_code in ((401,) if late else (401, 409))
        if answer.status_code == 401:
            self._end(session)

    @precondition(lambda self: self.live)
    @rule(data=st.data())
    def log_out(self, data):
        session = self._pick(data, self.live)
        answer = self.person.client.post("/api/auth/logout", headers=bearer(self.live[session]["access_token"]))
        assert answer.status_code == 204
        self._end(session)

    @precondition(lambda self: self.live)
    @rule(data=st.data())
    def end_one_from_another(self, data):
        actor, victim = self._pick(data, self.live), self._pick(data, self.live)
        answer = self.person.client.delete(
            f"/api/auth/sessions/{victim}", headers=bearer(self.live[actor]["access_token"])
        )
        assert answer.status_code == 204
        self._end(victim)

    @precondition(lambda self: self.live)
    @rule(data=st.data())
    def end_all_others(self, data):
        actor = self._pick(data, self.live)
        answer = self.person.client.delete("/api/auth/sessions", headers=bearer(self.live[actor]["access_token"]))
        assert answer.status_code == 204
        self._end(*(self.live.keys() - {actor}))

    @invariant()
    def what_has_ended_stays_ended(self):
        for tokens in self.ended.values():
            assert self.person.refresh(tokens["refresh_token"]).status_code == 401
            assert self.person.client.get("/internal/verify", headers=bearer(tokens["access_token"])).status_code == 401

    @invariant()
    def what_is_live_is_live(self):
        for tokens in self.live.values():
            assert self.person.client.get("/internal/verify", headers=bearer(tokens["access_token"])).status_code == 204


def test_a_session_that_has_ended_never_refreshes_again(make_app):
    Sessions.app = make_app(THROTTLE="off")

    run_state_machine_as_test(
        Sessions,
        settings=settings(
            max_examples=10,
            stateful_step_count=12,
            deadline=None,
            derandomize=True,
            database=None,
            suppress_health_check=list(HealthCheck),
        ),
    )


def _sid(token: str) -> str:
    return str(jwt.decode(token, options={"verify_signature": False})["sid"])


def _let_pass(app, time: timedelta) -> None:
    """Move everything that was written into the past. (The JWTs' own expiry is in the token matrix.)"""
    with app.app_context():
        for table, columns in (
            (Session, ("created_at", "last_used_at", "expires_at", "absolute_expires_at")),
            (RefreshToken, ("issued_at", "expires_at", "used_at")),
        ):
            for row in db.session.execute(select(table)).scalars():
                for column in columns:
                    if getattr(row, column) is not None:
                        setattr(row, column, getattr(row, column) - time)
        db.session.commit()


def _audited(app) -> list[AuditKind]:
    with app.app_context():
        kinds = list(db.session.execute(select(AuditEvent.kind)).scalars())
        db.session.rollback()
        return kinds
