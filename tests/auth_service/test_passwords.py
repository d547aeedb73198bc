"""How passwords are stored, checked and refused."""

import bcrypt
import pytest
from sqlalchemy import select, update

from auth_service import passwords
from auth_service.extensions import db
from auth_service.models import User
from tests.auth_service.people import PASSWORD, Person, registration


def test_two_equal_passwords_are_stored_differently_and_with_the_scheme_in_front(app, client):
    Person.join(client, "ann")
    Person.join(client, "bob")

    hashes = _hashes(app)

    assert hashes[0] != hashes[1]
    assert all(each.startswith("p1$$2b$04$") for each in hashes)
    assert all(PASSWORD not in each for each in hashes)


def test_without_the_pepper_a_stolen_hash_says_nothing(make_app):
    app = make_app()
    Person.join(app.test_client(), "ann")

    other = make_app(PASSWORD_PEPPER="a different pepper")

    assert Person(other.test_client(), "ann", {}).client.post(
        "/api/auth/login", json={"login": "ann", "password": PASSWORD}
    ).status_code == 401  # fmt: skip


@pytest.mark.parametrize(
    "password",
    [
        "x" * 71 + "end",
        "x" * 72 + "end",
        "x" * 73 + "end",
        "x" * 250 + "end",
        "🔑🗝️🔒🔓 emoji " * 5 + "end",
        "пароль из русских слов end",
        " blanks around the password  end",
        "with\x00nul\x00bytes end",
        "\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00end",
        "e\u0301\u0301\u0301 combining marks end",
        "quote ' \" \\ ; -- end",
    ],
)
def test_every_character_of_any_password_counts(client, log_in, password):
    assert client.post("/api/auth/register", json=registration("ann", password=password)).status_code == 201

    assert log_in("ann", password).status_code == 200
    assert log_in("ann", password[:-1]).status_code == 401
    assert log_in("ann", password[:-1] + "D").status_code == 401
    assert log_in("ann", password + " ").status_code == 401
    assert log_in("ann", " " + password).status_code == 401


def test_unicode_is_taken_as_it_is_typed(client, log_in):
    client.post("/api/auth/register", json=registration("ann", password="caf\u00e9 au lait 1"))

    assert log_in("ann", "cafe\u0301 au lait 1").status_code == 401
    assert log_in("ann", "caf\u00e9 au lait 1").status_code == 200


@pytest.mark.parametrize(
    ("password", "words"),
    [
        ("short", "at least 10"),
        ("123456789", "at least 10"),
        ("1234567890", "most common"),
        ("QWERTYuiop", "most common"),
        ("Password123", "most common"),
        ("ghbdtnghbdtn", "most common"),
        ("йцукенгшщз", "most common"),
        ("openlabsshare", "most common"),
        ("annabelle.k", "your login"),
        ("ANNABELLE.K1", "your login"),
        ("annabelle.k@example.edu", "your login"),
        ("annabelle.kannabelle.k", "your login"),
        ("postbox-of-ann99", "your login"),
    ],
)
def test_a_weak_password_is_refused_with_its_reason(client, password, words):
    order = registration("annabelle.k", password=password)
    if password.startswith("postbox"):
        order["email"] = "postbox-of-ann@example.edu"

    answer = client.post("/api/auth/register", json=order)

    assert answer.status_code == 422
    assert answer.json["code"] == "weak_password"
    assert words in answer.json["errors"][0]["message"]
    assert answer.json["errors"][0]["pointer"] == "/password"
    assert password not in answer.get_data(as_text=True)


@pytest.mark.parametrize("password", ["aaaaaaaaab", "nothing but letters", "1593572486!", "ann likes the sea"])
def test_no_kinds_of_characters_are_demanded(client, password):
    assert client.post("/api/auth/register", json=registration("ann", password=password)).status_code == 201


def test_the_least_length_is_a_setting(make_app):
    client = make_app(PASSWORD_MIN_LENGTH="15").test_client()

    answer = client.post("/api/auth/register", json=registration("ann", password="fourteen chars"))

    assert answer.status_code == 422
    assert "at least 15" in answer.json["errors"][0]["message"]


def test_a_hash_of_another_cost_is_renewed_at_the_next_login(make_app):
    cheap = make_app()
    Person.join(cheap.test_client(), "ann")
    dear = make_app(BCRYPT_LOG_ROUNDS="5")

    Person(dear.test_client(), "ann", {}).log_in()
    renewed = _hashes(dear)
    Person(dear.test_client(), "ann", {}).log_in()

    assert renewed[0].startswith("p1$$2b$05$")
    assert _hashes(dear) == renewed


@pytest.mark.parametrize(
    "stored", ["", "p1$", "p1$nonsense", "p9$$2b$04$abc", "$2b$04$" + "a" * 53, "p1$$2b$99$" + "a" * 53]
)
def test_a_hash_nobody_can_read_matches_nothing(app, client, ann, log_in, stored, capsys):
    with app.app_context():
        db.session.execute(update(User).values(password_hash=stored))
        db.session.commit()

    assert log_in("ann").status_code == 401


def test_an_unknown_login_costs_as_many_hashes_of_the_same_cost_as_a_known_one(client, ann, log_in, monkeypatch):
    costs = []
    really = bcrypt.hashpw

    def counting(password, salt):
        costs.append(salt[:7])
        return really(password, salt)

    monkeypatch.setattr(bcrypt, "hashpw", counting)

    def cost_of(login, password):
        costs.clear()
        log_in(login, password)
        return list(costs)

    right, wrong, unknown, impossible = (
        cost_of(*each) for each in [("ann", PASSWORD), ("ann", "wrong"), ("nobody", "wrong"), ("\x00", "wrong")]
    )
    assert right == wrong == unknown == impossible == [b"$2b$04$"]


def test_nothing_is_hashed_for_a_password_beyond_the_cap(client, ann, monkeypatch):
    monkeypatch.setattr(bcrypt, "hashpw", lambda *_: pytest.fail("hashed"))

    answer = client.post("/api/auth/login", json={"login": "ann", "password": "x" * 257})

    assert answer.status_code == 422


@pytest.mark.parametrize("act", ["register", "log in", "unknown login", "wrong password", "change password"])
def test_no_transaction_is_open_while_a_password_is_hashed(client, ann, log_in, monkeypatch, act):
    """On SQLite it would hold the one write lock for a third of a second; on PostgreSQL a connection."""
    hashed = []
    really = bcrypt.hashpw

    def watching(password, salt):
        hashed.append(db.session().in_transaction())
        return really(password, salt)

    monkeypatch.setattr(bcrypt, "hashpw", watching)

    {
        "register": lambda: client.post("/api/auth/register", json=registration("bob")),
        "log in": lambda: log_in("ann"),
        "unknown login": lambda: log_in("nobody"),
        "wrong password": lambda: log_in("ann", "wrong"),
        "change password": lambda: ann.post(
            "/api/auth/password", {"current_password": PASSWORD, "new_password": "amber whistle 12 fog"}
        ),
    }[act]()

    assert hashed
    assert not any(hashed)


def test_the_list_of_common_passwords_is_a_few_hundred_long_and_usable():
    words = passwords._common_passwords()

    assert 300 < sum(len(word) >= 10 for word in words) < 2000
    assert all(word == word.strip() and len(word) >= 8 for word in words)


def _hashes(app) -> list[str]:
    with app.app_context():
        found = list(db.session.execute(select(User.password_hash)).scalars())
        db.session.rollback()
        return found
