"""Tries are counted before anything is hashed; nobody is locked out, and a class of sixty gets in."""

import threading

import bcrypt
import pytest
from sqlalchemy import func, select

from auth_service import throttle
from auth_service.extensions import db
from auth_service.models import Allowance, AuditEvent, AuditKind, LoginDelay
from tests.auth_service.people import PASSWORD, Person, registration


class Clock:
    """Time as throttle.py sees it; it stands still until told otherwise."""

    def __init__(self):
        self.now = 1_800_000_000.0

    def time(self):
        return self.now


@pytest.fixture(autouse=True)
def clock(monkeypatch):
    clock = Clock()
    monkeypatch.setattr(throttle, "time", clock)
    return clock


@pytest.fixture
def fail(log_in):
    """`fail(5, "ann")`: so many wrong passwords; the last answer."""

    def fail(times, login, ip="10.0.0.1"):
        for _ in range(times):
            answer = log_in(login, "not the password", ip)
        return answer

    return fail


@pytest.mark.parametrize("login", ["ann", "nobody", "ann@example.edu", "\x00 what is this"])
def test_five_failures_are_free_and_the_sixth_must_wait(ann, fail, login):
    fifth = fail(5, login)
    sixth = fail(1, login)

    assert fifth.status_code == 401
    assert sixth.status_code == 429
    assert sixth.content_type == "application/problem+json"
    assert sixth.json["code"] == "too_many_attempts"
    assert sixth.headers["Retry-After"] == "1"


def test_who_must_wait_gets_in_nowhere_not_even_with_the_right_password_and_nothing_is_hashed(
    ann, fail, log_in, monkeypatch
):
    fail(5, "ann")
    monkeypatch.setattr(bcrypt, "hashpw", lambda *_: pytest.fail("hashed"))

    assert log_in("ann").status_code == 429


def test_each_failure_doubles_the_wait_up_to_five_minutes(app_on_each_engine, clock):
    client = app_on_each_engine.test_client()
    waits = []

    for _ in range(16):
        client.post("/api/auth/login", json={"login": "ann", "password": "wrong"})
        with app_on_each_engine.app_context():
            waits.append(db.session.execute(select(LoginDelay.delay_seconds)).scalar_one())
            db.session.rollback()
        clock.now += waits[-1]

    assert waits == [0, 0, 0, 0, 1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300, 300]


def test_tries_that_come_too_soon_do_not_make_the_wait_longer(app, fail):
    fail(5, "ann")

    fail(20, "ann")

    with app.app_context():
        assert db.session.execute(select(LoginDelay.failures)).scalar_one() == 5
        db.session.rollback()


def test_the_wait_ends(ann, fail, log_in, clock):
    fail(6, "ann")
    clock.now += 1

    assert log_in("ann").status_code == 200


def test_failures_are_forgotten_after_an_hour_of_peace(fail, clock):
    fail(5, "ann")
    clock.now += 3_601

    assert [fail(1, "ann").status_code for _ in range(6)] == [401] * 5 + [429]


def test_a_login_that_succeeds_forgets_the_failures_before_it(ann, fail, log_in):
    for _ in range(3):
        fail(4, "ann")
        assert log_in("ann").status_code == 200


def test_the_owner_still_gets_in_from_another_address(ann, fail, log_in):
    fail(6, "ann", ip="10.0.0.1")

    assert log_in("ann", ip="10.0.0.2").status_code == 200


def test_another_login_from_the_same_address_is_not_delayed(client, ann, fail, log_in):
    Person.join(client, "bob")
    fail(6, "ann")

    assert log_in("bob").status_code == 200


def test_parallel_tries_cannot_slip_through_together(app_on_each_engine):
    """All are counted before any is checked: of twelve at once only the five free ones are looked at."""
    gate, answers = threading.Barrier(12), []

    def attempt():
        client = app_on_each_engine.test_client()
        gate.wait()
        answers.append(client.post("/api/auth/login", json={"login": "ann", "password": "wrong"}).status_code)

    threads = [threading.Thread(target=attempt) for _ in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert sorted(answers) == [401] * 5 + [429] * 7


def test_an_address_has_its_share_over_all_logins(make_app):
    app = make_app(THROTTLE_ADDRESS_PER_HOUR="10")
    client = app.test_client()

    answers = [
        client.post("/api/auth/login", json={"login": f"user{n}", "password": "wrong"}).status_code for n in range(12)
    ]

    assert answers == [401] * 10 + [429] * 2
    elsewhere = client.post(
        "/api/auth/login", json={"login": "user1", "password": "wrong"}, headers={"X-Forwarded-For": "10.9.9.9"}
    )
    assert elsewhere.status_code == 401


def test_logins_that_succeed_do_not_use_up_the_address_share(make_app):
    """A class of sixty behind one address logs in at nine o'clock."""
    client = make_app(THROTTLE_ADDRESS_PER_HOUR="10").test_client()
    Person.join(client, "ann")

    answers = {
        client.post("/api/auth/login", json={"login": "ann", "password": PASSWORD}).status_code for _ in range(60)
    }

    assert answers == {200}


def test_an_account_has_a_pace_over_all_addresses_but_its_owner_at_home_is_not_held_up(make_app):
    client = make_app(THROTTLE_ACCOUNT_PER_HOUR="10").test_client()
    client.post("/api/auth/register", json=registration("ann"))

    def attempt(ip, password="wrong"):  # noqa: S107
        return client.post(
            "/api/auth/login", json={"login": "ann", "password": password}, headers={"X-Forwarded-For": ip}
        )

    assert attempt("192.0.2.1", PASSWORD).status_code == 200  # Ann is logged in at home from now on.
    answers = [attempt(f"10.0.0.{n}").status_code for n in range(12)]

    assert answers == [401] * 10 + [429] * 2
    assert attempt("10.0.1.1", PASSWORD).status_code == 429
    assert attempt("192.0.2.1", PASSWORD).status_code == 200


def test_a_pace_gives_one_more_try_every_few_minutes_not_all_after_an_hour(make_app, clock):
    client = make_app(THROTTLE_ADDRESS_PER_HOUR="10").test_client()

    def attempt(n):
        return client.post("/api/auth/login", json={"login": f"user{n}", "password": "wrong"})

    for n in range(10):
        attempt(n)
    refused = attempt(11)
    clock.now += 360

    assert refused.headers["Retry-After"] == "360"
    assert [attempt(12).status_code, attempt(13).status_code] == [401, 429]


def test_a_class_of_sixty_registers_behind_one_address(make_app):
    client = make_app().test_client()

    answers = [client.post("/api/auth/register", json=registration(f"user{n}")).status_code for n in range(60)]
    taken = client.post("/api/auth/register", json=registration("user1"))

    assert set(answers) == {201}
    assert taken.status_code == 409


def test_registrations_of_one_address_are_limited(app_on_each_engine):
    app_on_each_engine.config["THROTTLE_LIMITS"] = type(app_on_each_engine.config["THROTTLE_LIMITS"])(
        register_per_hour=3
    )
    client = app_on_each_engine.test_client()

    answers = [client.post("/api/auth/register", json=registration(f"user{n}")) for n in range(4)]
    elsewhere = client.post("/api/auth/register", json=registration("other"), headers={"X-Forwarded-For": "10.2.2.2"})

    assert [answer.status_code for answer in answers] == [201, 201, 201, 429]
    assert answers[3].json["code"] == "too_many_registrations"
    assert answers[3].headers["Retry-After"] == "1200"
    assert elsewhere.status_code == 201


def test_bad_registrations_do_not_count(make_app):
    client = make_app(THROTTLE_REGISTER_PER_HOUR="1").test_client()

    for _ in range(3):
        assert client.post("/api/auth/register", json=registration("ann", password="short")).status_code == 422

    assert client.post("/api/auth/register", json=registration("ann")).status_code == 201


def test_zero_is_no_limit(make_app):
    client = make_app(THROTTLE_REGISTER_PER_HOUR="0", THROTTLE_ADDRESS_PER_HOUR="0").test_client()

    answers = {client.post("/api/auth/register", json=registration(f"user{n}")).status_code for n in range(20)}

    assert answers == {201}


def test_a_client_cannot_choose_its_address(fail, client):
    """The gateway appends what it saw; everything before that is the client's invention."""
    for n in range(5):
        client.post(
            "/api/auth/login",
            json={"login": "ann", "password": "wrong"},
            headers={"X-Forwarded-For": f"198.51.100.{n}, 10.0.0.1", "X-Real-IP": f"198.51.100.{n}"},
        )

    assert fail(1, "ann", ip="10.0.0.1").status_code == 429


def test_an_ipv6_customer_is_one_address_however_many_they_choose_from(fail):
    for n in range(5):
        fail(1, "ann", ip=f"2001:db8:1:1::{n}")

    assert fail(1, "ann", ip="2001:db8:1:1:ffff::1").status_code == 429
    assert fail(1, "ann", ip="2001:db8:1:2::1").status_code == 401


@pytest.mark.parametrize("ip", ["", "nonsense", "10.0.0.1:4711", "<script>", "999.1.1.1"])
def test_an_address_nobody_can_read_is_no_crash(log_in, ip):
    assert log_in("nobody", ip=ip).status_code == 401


def test_guessing_the_current_password_is_delayed_as_well(ann):
    answers = [
        ann.post("/api/auth/password", {"current_password": f"guess {n}", "new_password": "amber whistle 12 fog"})
        for n in range(6)
    ]

    assert [answer.status_code for answer in answers] == [422] * 5 + [429]


def test_the_counters_hold_nothing_that_somebody_typed(app, fail):
    fail(5, "my secret typed in the wrong box")

    with app.app_context():
        keys = [
            *db.session.execute(select(LoginDelay.key)).scalars(),
            *db.session.execute(select(Allowance.key)).scalars(),
        ]
        db.session.rollback()
    assert len(keys) == 3
    assert all(len(key) == 64 and int(key, 16) for key in keys)


def test_the_beginning_of_a_delay_is_audited_once(app, fail):
    fail(9, "ann")

    with app.app_context():
        throttled = db.session.execute(
            select(func.count()).select_from(AuditEvent).where(AuditEvent.kind == AuditKind.LOGIN_THROTTLED)
        ).scalar_one()
        db.session.rollback()
    assert throttled == 1


def test_with_the_throttle_off_nothing_is_counted(make_app):
    app = make_app(THROTTLE="off")
    client = app.test_client()

    answers = {client.post("/api/auth/login", json={"login": "ann", "password": "x"}).status_code for _ in range(20)}

    assert answers == {401}
    with app.app_context():
        assert db.session.execute(select(func.count()).select_from(LoginDelay)).scalar_one() == 0
        db.session.rollback()
