"""Who asks: only a token that auth_service signed, for us, now; and a header that says the same."""

import base64
import json
import time

import jwt as pyjwt
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from main_service import identity
from main_service.app import create_app
from main_service.config import Config
from tests.main_service.people import Signer

URL = "/api/submissions"


@pytest.fixture
def main_url(sqlite_main_url):
    return sqlite_main_url


def ask(client, token, user_id="7"):
    headers = {"Authorization": f"Bearer {token}"}
    return client.get(URL, headers=headers | ({"X-User-Id": user_id} if user_id is not None else {}))


def unsigned(header, claims):
    parts = [base64.urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=") for part in (header, claims)]
    return b".".join([*parts, b""]).decode()


def with_algorithm_swapped(signer):
    """HS256 with the public key as the secret: what a verifier that trusts the header would accept."""
    secret = signer.key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
    claims = pyjwt.decode(signer.token(), options={"verify_signature": False})
    return pyjwt.encode(claims, secret, algorithm="HS256", headers={"kid": signer.kid})


def with_another_payload(signer):
    header, _, signature = signer.token().split(".")
    payload = signer.token(sub="1", role="admin").split(".")[1]
    return f"{header}.{payload}.{signature}"


BAD_TOKENS = {
    "expired": lambda s: s.token(exp=int(time.time()) - 60),
    "not valid yet": lambda s: s.token(nbf=int(time.time()) + 60),
    "without exp": lambda s: s.token(exp=None),
    "without iat": lambda s: s.token(iat=None),
    "without jti": lambda s: s.token(jti=None),
    "without sid": lambda s: s.token(sid=None),
    "without type": lambda s: s.token(type=None),
    "without role": lambda s: s.token(role=None),
    "of an unknown role": lambda s: s.token(role="root"),
    "a refresh token": lambda s: s.token(type="refresh"),
    "of another issuer": lambda s: s.token(iss="elsewhere"),
    "without issuer": lambda s: s.token(iss=None),
    "for another audience": lambda s: s.token(aud="shop"),
    "without audience": lambda s: s.token(aud=None),
    "without sub": lambda s: s.token(sub=None),
    "with a sub that is no id": lambda s: s.token(sub="admin"),
    "with sub zero": lambda s: s.token(sub="0"),
    "of a stranger's key under our kid": lambda s: Signer(s.kid).token(),
    "of an unknown kid": lambda s: Signer("made-up").token(),
    "with jku, of an unknown kid": lambda s: Signer("made-up").token(headers={"jku": "http://127.0.0.1:1/jwks.json"}),
    "without kid": lambda s: pyjwt.encode({"sub": "7"}, s.key, algorithm="EdDSA"),
    "alg none": lambda s: unsigned({"alg": "none", "kid": s.kid}, {"sub": "7"}),
    "alg swapped": with_algorithm_swapped,
    "payload swapped": with_another_payload,
    "signature cut off": lambda s: s.token().rpartition(".")[0] + ".",
    "nonsense": lambda s: "nonsense",
    "empty": lambda s: "",
}


@pytest.mark.parametrize("make_token", BAD_TOKENS.values(), ids=BAD_TOKENS.keys())
def test_a_bad_token_is_a_401(client, signer, make_token):
    answer = ask(client, make_token(signer))

    assert answer.status_code == 401
    assert answer.content_type == "application/problem+json"
    assert "WWW-Authenticate" in answer.headers


def test_a_good_token_with_its_header_gets_in(client, signer):
    assert ask(client, signer.token()).status_code == 200


def test_a_clock_may_be_ten_seconds_off(client, signer):
    assert ask(client, signer.token(exp=int(time.time()) - 5)).status_code == 200


@pytest.mark.parametrize("header", [None, "", "8", "07", "+7", "7.0", "7,7", "7,8", "٧", "-7", "0", "7" * 20])
def test_the_gateways_header_must_say_what_the_token_says(client, signer, header):
    answer = ask(client, signer.token(), header)

    assert (answer.status_code, answer.json["code"]) == (401, "identity_mismatch")


def test_two_headers_are_no_identity(client, signer):
    answer = client.get(
        URL, headers=[("Authorization", f"Bearer {signer.token()}"), ("X-User-Id", "7"), ("X-User-Id", "7")]
    )

    assert (answer.status_code, answer.json["code"]) == (401, "identity_mismatch")


def test_the_header_alone_is_no_identity(client):
    assert client.get(URL, headers={"X-User-Id": "7"}).status_code == 401


@pytest.mark.parametrize("scheme", ["Basic", "Token", "bearer-ish", ""])
def test_other_schemes_are_no_login(client, signer, scheme):
    answer = client.get(URL, headers={"Authorization": f"{scheme} {signer.token()}", "X-User-Id": "7"})

    assert answer.status_code == 401


# auth_service's keys --------------------------------------------------------------------------------


@pytest.fixture
def client_of(settings, sqlite_main_url):
    def make(auth_url):
        config = Config.from_env(settings | {"DATABASE_URL_MAIN": sqlite_main_url, "AUTH_SERVICE_URL": auth_url})
        return create_app(config).test_client()

    return make


def test_keys_are_fetched_once_and_used_while_auth_service_is_away(client_of, key_server):
    signer = Signer("one")
    key_server.publish(signer)
    client = client_of(key_server.url)
    assert ask(client, signer.token()).status_code == 200

    key_server.status = 500

    assert ask(client, signer.token()).status_code == 200
    assert ask(client, Signer("two").token()).status_code == 401
    assert key_server.asked == 1


def test_without_any_key_the_answer_is_503_until_auth_service_is_back(client_of, key_server, monkeypatch):
    monkeypatch.setattr(identity, "_FIRST_KEY_SECONDS", 0)
    signer = Signer("one")
    key_server.status = 503
    client = client_of(key_server.url)

    away = ask(client, signer.token())
    key_server.status = 200
    key_server.publish(signer)
    back = ask(client, signer.token())

    assert (away.status_code, away.json["code"]) == (503, "auth_service_unreachable")
    assert "Retry-After" in away.headers
    assert back.status_code == 200


def test_an_unknown_kid_makes_us_ask_again_but_not_for_every_stranger(client_of, key_server, monkeypatch):
    monkeypatch.setattr(identity, "_ASK_AGAIN_SECONDS", 0.5)
    old, new = Signer("old"), Signer("new")
    key_server.publish(old)
    client = client_of(key_server.url)
    assert ask(client, old.token()).status_code == 200

    for number in range(20):
        assert ask(client, Signer(f"made-up-{number}").token()).status_code == 401
    assert key_server.asked == 1

    key_server.publish(old, new)
    deadline = time.monotonic() + 10
    while ask(client, new.token()).status_code != 200:
        assert time.monotonic() < deadline
    assert key_server.asked == 2


def test_a_retired_key_is_no_longer_accepted(client_of, key_server, monkeypatch):
    old, new = Signer("old"), Signer("new")
    key_server.publish(old, new)
    client = client_of(key_server.url)
    assert ask(client, old.token()).status_code == 200

    key_server.publish(new)
    monkeypatch.setattr(identity, "_KEYS_GROW_OLD_SECONDS", 0)
    monkeypatch.setattr(identity, "_ASK_AGAIN_SECONDS", 0)

    assert ask(client, new.token()).status_code == 200
    assert ask(client, old.token()).status_code == 401


@pytest.mark.parametrize(
    "document",
    [
        [],
        {},
        {"keys": "none"},
        {"keys": [1, None, {}]},
        {"keys": [{"kty": "OKP", "crv": "Ed25519", "kid": "one", "x": "short"}]},
        {"keys": [{"kty": "OKP", "crv": "Ed25519", "kid": 5, "x": "a" * 43}]},
        {"keys": [{"kty": "oct", "kid": "one", "k": "c2VjcmV0"}]},
    ],
)
def test_a_key_set_without_our_kind_of_key_is_no_key_set(client_of, key_server, document):
    key_server.document = document

    answer = ask(client_of(key_server.url), Signer("one").token())

    assert answer.status_code == 503


def test_a_key_of_another_kind_is_never_used(client_of, key_server):
    signer = Signer("one")
    rsa_key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    rsa_jwk = json.loads(pyjwt.algorithms.RSAAlgorithm.to_jwk(rsa_key.public_key())) | {"kid": "rsa", "use": "sig"}
    key_server.document = {"keys": [signer.public, rsa_jwk]}
    claims = pyjwt.decode(signer.token(), options={"verify_signature": False})
    token = pyjwt.encode(claims, rsa_key, algorithm="RS256", headers={"kid": "rsa"})

    client = client_of(key_server.url)

    assert ask(client, token).status_code == 401
    assert ask(client, signer.token()).status_code == 200
