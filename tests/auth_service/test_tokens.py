"""Which tokens are refused, everywhere one is taken: the token matrix. And what the gateway is told."""

import base64
import hashlib
import hmac
import json
import time
import uuid
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from sqlalchemy import delete, update

from auth_service import tokens
from auth_service.extensions import db
from auth_service.keys import KeyRing
from auth_service.models import Session, User
from auth_service.sessions import is_live
from tests.auth_service.people import Person, bearer

STRANGER = Ed25519PrivateKey.generate()


class Forger:
    """Makes tokens that are like Ann's, but for one thing."""

    def __init__(self, person: Person, ring: KeyRing) -> None:
        self.person, self.ring = person, ring

    def claims(self, kind: str) -> dict[str, Any]:
        return jwt.decode(self.person.tokens[f"{kind}_token"], options={"verify_signature": False})

    def sign(self, claims: dict[str, Any], key: Any = None, algorithm: str = "EdDSA", **header: Any) -> str:
        headers = {"kid": self.ring.signing_kid} | header
        payload = json.dumps(claims).encode()  # Not jwt.encode: it would refuse some of the claims we try.
        return jwt.api_jws.encode(payload, key or self.ring.signing_key, algorithm, headers=headers)

    def raw(self, header: Any, payload: bytes, signature: bytes = b"") -> str:
        """A token out of parts that no library would put together."""
        header_bytes = header if isinstance(header, bytes) else json.dumps(header).encode()
        return b".".join(
            base64.urlsafe_b64encode(part).rstrip(b"=") for part in (header_bytes, payload, signature)
        ).decode()


def with_claim(**changes: Any):
    return lambda forger, kind: forger.sign(forger.claims(kind) | changes)


def without_claim(name: str):
    return lambda forger, kind: forger.sign({key: value for key, value in forger.claims(kind).items() if key != name})


def with_header(**header: Any):
    return lambda forger, kind: forger.sign(forger.claims(kind), **header)


def signed_by_a_stranger(forger: Forger, kind: str) -> str:
    return forger.sign(forger.claims(kind), STRANGER)


def signed_by_a_stranger_who_sends_the_key(forger: Forger, kind: str) -> str:
    jwk = {
        "kty": "OKP",
        "crv": "Ed25519",
        "x": base64.urlsafe_b64encode(STRANGER.public_key().public_bytes_raw()).decode(),
    }
    return forger.sign(forger.claims(kind), STRANGER, jwk=jwk, jku="https://keys.example.com/jwks.json", kid="theirs")


def unsigned(forger: Forger, kind: str) -> str:
    return forger.raw(
        {"alg": "none", "typ": "JWT", "kid": forger.ring.signing_kid}, json.dumps(forger.claims(kind)).encode()
    )


def hmac_with_the_public_key(forger: Forger, kind: str) -> str:
    """The classic swap: HS256, and the public key, which everybody knows, as the secret."""
    secret = forger.ring.signing_key.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    header, payload, _ = forger.raw(
        {"alg": "HS256", "typ": "JWT", "kid": forger.ring.signing_kid}, json.dumps(forger.claims(kind)).encode()
    ).split(".")
    signature = hmac.digest(secret, f"{header}.{payload}".encode(), hashlib.sha256)
    return f"{header}.{payload}.{base64.urlsafe_b64encode(signature).rstrip(b'=').decode()}"


def with_a_changed_payload(forger: Forger, kind: str) -> str:
    header, _, signature = forger.person.tokens[f"{kind}_token"].split(".")
    payload = json.dumps(forger.claims(kind) | {"role": "admin"}).encode()
    return f"{header}.{base64.urlsafe_b64encode(payload).rstrip(b'=').decode()}.{signature}"


def without_a_signature(forger: Forger, kind: str) -> str:
    return str(forger.person.tokens[f"{kind}_token"]).rpartition(".")[0] + "."


def of_the_other_kind(forger: Forger, kind: str) -> str:
    return str(forger.person.tokens["refresh_token" if kind == "access" else "access_token"])


def expired(seconds: int):
    def make(forger: Forger, kind: str) -> str:
        return forger.sign(forger.claims(kind) | {"exp": int(time.time()) - seconds})

    return make


FORGERIES = {
    "expired": expired(20),
    "not yet valid": with_claim(nbf=4_000_000_000),
    "issued in the future": with_claim(iat=4_000_000_000),
    **{f"no {name}": without_claim(name) for name in ("exp", "iat", "jti", "sid", "type", "role", "sub", "aud", "iss")},
    "exp is text": with_claim(exp="tomorrow"),
    "exp is null": with_claim(exp=None),
    "iat is a list": with_claim(iat=[]),
    "sub is a number": with_claim(sub=1),
    "sub is not a number": with_claim(sub="ann"),
    "sub is zero": with_claim(sub="0"),
    "sub is too long": with_claim(sub="9" * 30),
    "sub has blanks": with_claim(sub=" 1"),
    "sub is in other digits": with_claim(sub="١"),
    "somebody else's sub": with_claim(sub="999"),
    "jti is null": with_claim(jti=None),
    "jti is empty": with_claim(jti=""),
    "jti is a list": with_claim(jti=["a"]),
    "sid is a number": with_claim(sid=7),
    "sid is an object": with_claim(sid={"$ne": ""}),
    "sid of nobody": with_claim(sid="00000000-0000-4000-8000-000000000000"),
    "type is unknown": with_claim(type="session"),
    "type is a list": with_claim(type=["access"]),
    "role is unknown": with_claim(role="root"),
    "role is a list": with_claim(role=["admin"]),
    "role is not the user's": with_claim(role="admin"),
    "another audience": with_claim(aud="shop"),
    "another issuer": with_claim(iss="somebody"),
    "issuer is a list": with_claim(iss=["labs-auth"]),
    "of the other kind": of_the_other_kind,
    "unsigned": unsigned,
    "HS256 with the public key": hmac_with_the_public_key,
    "signed by a stranger": signed_by_a_stranger,
    "signed by a stranger who sends the key": signed_by_a_stranger_who_sends_the_key,
    "unknown kid": with_header(kid="unknown"),
    "kid is a path": with_header(kid="../../../../dev/null"),
    "kid is empty": with_header(kid=""),
    "changed payload": with_a_changed_payload,
    "stripped signature": without_a_signature,
    "kid is a number": lambda forger, kind: forger.raw(
        {"alg": "EdDSA", "kid": 7}, json.dumps(forger.claims(kind)).encode(), b"x" * 64
    ),
    "no alg": lambda forger, kind: forger.raw({"kid": forger.ring.signing_kid}, b"{}", b"x" * 64),
    "crit header": with_header(crit=["exp"]),
    "header is a list": lambda forger, _: forger.raw([], b"{}"),
    "payload is a list": lambda forger, _: forger.raw({"alg": "EdDSA", "kid": forger.ring.signing_kid}, b"[]", b"x"),
    "payload is not JSON": lambda forger, _: forger.raw(
        {"alg": "EdDSA", "kid": forger.ring.signing_kid}, b"\xff", b"x"
    ),
    "payload nested too deeply": lambda forger, _: forger.raw(
        {"alg": "EdDSA"}, b'{"a":' + b"[" * 2500 + b"]" * 2500 + b"}"
    ),
    "header nested too deeply": lambda forger, _: forger.raw(b'{"a":' + b"[" * 2500 + b"]" * 2500 + b"}", b"{}"),
    "two dots": lambda *_: "..",
    "no dots": lambda *_: "token",
    "four parts": lambda *_: "a.b.c.d",
    "not base64": lambda *_: "%%%.%%%.%%%",
    "other letters": lambda *_: "tökén.é.ü",
    "very long": lambda *_: "a" * 4000,
}


@pytest.fixture
def app(shared_app):
    return shared_app


@pytest.fixture
def ann(client):
    return Person.join(client, f"ann-{uuid.uuid4().hex[:8]}")


@pytest.fixture
def forger(ann, keys_dir):
    return Forger(ann, KeyRing.load(keys_dir))


@pytest.mark.parametrize("name", FORGERIES)
@pytest.mark.parametrize("path", ["/api/auth/me", "/internal/verify"])
def test_a_bad_access_token_is_401_and_never_anything_else(client, forger, name, path):
    token = FORGERIES[name](forger, "access")

    answer = client.get(path, headers={"Authorization": f"Bearer {token}".encode().decode("latin-1")})

    _assert_is_401(answer)
    assert "X-User-Id" not in answer.headers


@pytest.mark.parametrize("name", FORGERIES)
def test_a_bad_refresh_token_is_401_and_the_good_one_still_works(client, forger, ann, name):
    token = FORGERIES[name](forger, "refresh")

    answer = client.post("/api/auth/refresh", json={"refresh_token": token})

    if name == "role is not the user's":
        # Harmless: the new pair names the role that the user has today.
        assert answer.status_code == 200
        assert answer.json["user"]["role"] == "student"
        return
    _assert_is_401(answer)
    assert ann.refresh().status_code == 200


def test_a_refresh_token_with_half_a_surrogate_pair_is_401(client):
    answer = client.post("/api/auth/refresh", data=b'{"refresh_token": "a.\\ud800.c"}', content_type="application/json")

    _assert_is_401(answer)


@pytest.mark.parametrize(
    "header",
    [
        "",
        "Bearer",
        "Bearer ",
        "Bearer a b",
        "Basic YW5uOnNlY3JldA==",
        "bearer {token}",
        "Token {token}",
        "{token}",
        "Bearer {token}, Bearer {token}",
        "Bearer {token} {token}",
        ",,,",
        "Bearer null",
    ],
)
@pytest.mark.parametrize("path", ["/api/auth/me", "/internal/verify"])
def test_a_malformed_authorization_header_is_401(client, ann, header, path):
    answer = client.get(path, headers={"Authorization": header.format(token=ann.tokens["access_token"])})

    _assert_is_401(answer)


@pytest.mark.parametrize("path", ["/api/auth/me", "/internal/verify", "/api/auth/sessions"])
def test_no_token_at_all_is_401_and_names_the_scheme(client, path):
    answer = client.get(path)

    _assert_is_401(answer)
    assert answer.headers["WWW-Authenticate"] == "Bearer"


def test_a_clock_a_few_seconds_off_is_forgiven(client, forger):
    token = expired(5)(forger, "access")

    assert client.get("/internal/verify", headers=bearer(token)).status_code == 204


def test_an_access_token_says_what_the_other_services_read(ann):
    claims = jwt.decode(ann.tokens["access_token"], options={"verify_signature": False})

    assert claims["sub"] == str(ann.user["id"])
    assert claims["role"] == "student"
    assert claims["type"] == "access"
    assert (claims["iss"], claims["aud"]) == ("labs-auth", "labs")
    assert claims["exp"] - claims["iat"] == 900
    assert claims["nbf"] == claims["iat"]
    assert claims["jti"]
    assert claims["sid"]


def test_anybody_can_verify_a_token_with_the_published_keys(client, ann):
    answer = client.get("/api/auth/.well-known/jwks.json")

    keys = jwt.PyJWKSet.from_dict(answer.json)
    token = ann.tokens["access_token"]
    key = keys[jwt.get_unverified_header(token)["kid"]]
    claims = jwt.decode(token, key, algorithms=["EdDSA"], audience="labs", issuer="labs-auth")
    assert claims["sub"] == str(ann.user["id"])
    assert {frozenset(each) for each in answer.json["keys"]} == {frozenset({"kty", "crv", "x", "kid", "use", "alg"})}
    assert answer.headers["Cache-Control"] == "public, max-age=300"


def test_the_gateway_is_told_who_it_is(client, ann):
    answer = client.get("/internal/verify", headers=ann.headers)

    claims = jwt.decode(ann.tokens["access_token"], options={"verify_signature": False})
    assert answer.status_code == 204
    assert answer.data == b""
    assert answer.headers["X-User-Id"] == str(ann.user["id"])
    assert answer.headers["X-User-Roles"] == "student"
    assert answer.headers["X-Session-Id"] == claims["sid"]


def test_the_gateway_does_not_take_a_token_from_a_cookie(app, ann):
    browser = app.test_client()
    browser.set_cookie("access_token_cookie", ann.tokens["access_token"])
    browser.set_cookie("labs_refresh", ann.tokens["refresh_token"], path="/")

    _assert_is_401(browser.get("/internal/verify"))


@pytest.mark.parametrize("end", ["logout", "expiry", "deletion", "role change"])
def test_the_gateway_refuses_at_once_when_the_session_is_over(app, client, ann, end):
    if end == "logout":
        assert ann.post("/api/auth/logout").status_code == 204
    else:
        change = {
            "expiry": update(Session).values(expires_at=Session.created_at),
            "deletion": delete(User),
            "role change": update(User).values(role="moderator"),
        }[end]
        with app.app_context():
            db.session.execute(change)
            db.session.commit()

    _assert_is_401(client.get("/internal/verify", headers=ann.headers))
    _assert_is_401(ann.get("/api/auth/me"))


def test_a_refresh_brings_the_new_role(app, client, ann):
    with app.app_context():
        db.session.execute(update(User).values(role="moderator"))
        db.session.commit()

    ann.tokens = ann.refresh().json

    assert client.get("/internal/verify", headers=ann.headers).headers["X-User-Roles"] == "moderator"


def test_the_session_is_looked_up_once_a_request(app, ann, monkeypatch):
    asked = []

    def counting(caller):
        asked.append(caller)
        return is_live(caller)

    monkeypatch.setattr(tokens, "is_live", counting)

    assert ann.get("/api/auth/me").status_code == 200

    assert len(asked) == 1


def _assert_is_401(answer):
    assert answer.status_code == 401, answer.data
    assert answer.content_type == "application/problem+json"
    assert answer.headers["WWW-Authenticate"].startswith("Bearer")
    assert answer.json["status"] == 401
