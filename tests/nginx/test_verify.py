"""Tokens are verified by auth_service, remembered for five seconds, and never guessed at."""

import stat
import time
from pathlib import Path

import pytest

from tests.nginx.gateway import Answer, Gateway, Upstream, environment, running, verifier


def asked_to_verify(auth: Upstream) -> int:
    return sum(asked.path == "/internal/verify" for asked in auth.asked)


def test_without_a_token_the_verifier_is_not_asked(gateway: Gateway, auth: Upstream, main: Upstream) -> None:
    answer = gateway.get("/api/languages")

    assert answer.status_code == 200
    assert auth.asked == []
    assert main.asked[0].header("X-User-Id") is None


def test_the_verifier_sees_the_token_and_nothing_else_of_the_request(gateway: Gateway, auth: Upstream) -> None:
    headers = {"Authorization": "Bearer user-5-student", "Cookie": "labs_refresh=secret", "X-User-Id": "1"}

    gateway.post("/api/submissions?draft=1", json={"source": "print(1)"}, headers=headers)

    (asked,) = auth.asked
    assert (asked.method, asked.path, asked.body) == ("GET", "/internal/verify", b"")
    assert asked.header("Authorization") == "Bearer user-5-student"
    assert asked.header("Cookie") is asked.header("X-User-Id") is asked.header("Content-Length") is None
    assert asked.header("X-Request-Id")


@pytest.mark.parametrize("method", ["GET", "HEAD", "POST", "PATCH", "DELETE"])
def test_every_method_is_verified(gateway: Gateway, main: Upstream, method: str) -> None:
    good = gateway.request(method, "/api/submissions/1", headers={"Authorization": "Bearer user-6-student"})
    bad = gateway.request(method, "/api/submissions/1", headers={"Authorization": "Bearer forged"})

    assert (good.status_code, bad.status_code) == (200, 401)
    assert [(asked.method, asked.header("X-User-Id")) for asked in main.asked] == [(method, "6")]


def test_a_token_is_verified_once_for_many_requests(gateway: Gateway, auth: Upstream, main: Upstream) -> None:
    for _ in range(5):
        gateway.get("/api/limits", headers={"Authorization": "Bearer user-11-student"})
    gateway.get("/api/limits", headers={"Authorization": "Bearer user-12-student"})

    assert asked_to_verify(auth) == 2
    assert [asked.header("X-User-Id") for asked in main.asked] == ["11"] * 5 + ["12"]


@pytest.mark.slow
def test_a_revoked_token_lives_five_seconds_at_most(gateway: Gateway, auth: Upstream) -> None:
    headers = {"Authorization": "Bearer user-13-student"}
    assert gateway.get("/api/limits", headers=headers).status_code == 200
    verified_at = time.monotonic()
    auth.answers = lambda _asked: Answer(status=401)

    while gateway.get("/api/limits", headers=headers).status_code == 200:
        assert time.monotonic() - verified_at < 8
        time.sleep(0.1)

    assert time.monotonic() - verified_at < 7  # nginx counts in whole seconds.


def test_a_bad_token_is_a_401_that_says_how_to_log_in(gateway: Gateway, main: Upstream) -> None:
    answer = gateway.get("/api/languages", headers={"Authorization": "Bearer forged"})

    assert answer.status_code == 401
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert answer.headers["WWW-Authenticate"] == 'Bearer error="invalid_token"'
    assert answer.json()["code"] == "invalid_token"
    assert main.asked == []


def test_a_refusal_is_not_remembered(gateway: Gateway, auth: Upstream) -> None:
    headers = {"Authorization": "Bearer user-14-student"}
    auth.answers = lambda _asked: Answer(status=401)
    assert gateway.get("/api/limits", headers=headers).status_code == 401

    auth.answers = verifier

    assert gateway.get("/api/limits", headers=headers).status_code == 200


def test_a_broken_verifier_is_our_fault_not_the_callers(gateway: Gateway, main: Upstream) -> None:
    answer = gateway.get("/api/limits", headers={"Authorization": "Bearer broken"})

    assert answer.status_code == 503
    assert answer.json()["code"] == "service_unavailable"
    assert answer.headers["Retry-After"]
    assert main.asked == []


def test_a_dead_verifier_closes_nothing_that_needs_no_token(tmp_path: Path, main: Upstream) -> None:
    with running(tmp_path, environment(tmp_path, "127.0.0.1:1", main.address)) as gateway:
        anonymous = gateway.get("/api/languages")
        with_token = gateway.get("/api/languages", headers={"Authorization": "Bearer user-1-student"})
        log_in = gateway.post("/api/auth/login", json={})

    assert anonymous.status_code == 200
    assert (with_token.status_code, with_token.json()["code"]) == (503, "service_unavailable")
    assert (log_in.status_code, log_in.json()["code"]) == (502, "service_unavailable")


def test_two_authorization_headers_are_refused(gateway: Gateway, main: Upstream) -> None:
    answer = gateway.say(
        b"GET /api/limits HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"
        b"Authorization: Bearer user-1-student\r\nAuthorization: Bearer user-2-admin\r\n\r\n"
    )

    assert answer.startswith(b"HTTP/1.1 400 ")
    assert main.asked == []


@pytest.mark.parametrize("path", ["/_verify", "/internal/verify", "/api/../internal/verify", "/%5fverify"])
def test_the_verifier_cannot_be_asked_from_outside(gateway: Gateway, auth: Upstream, path: str) -> None:
    answer = gateway.say(f"GET {path} HTTP/1.0\r\nAuthorization: Bearer user-1-admin\r\n\r\n".encode())

    assert answer.split()[1] == b"404"
    assert auth.asked == []


def test_remembered_tokens_lie_in_a_private_folder(gateway: Gateway) -> None:
    gateway.get("/api/limits", headers={"Authorization": "Bearer user-15-student"})

    cache = gateway.run_dir / "verify_cache"
    assert stat.S_IMODE(cache.stat().st_mode) == 0o700
    remembered = [path for path in cache.rglob("*") if path.is_file()]
    assert remembered
    assert {stat.S_IMODE(path.stat().st_mode) for path in remembered} == {0o600}
