"""Nobody but the gateway says who asks."""

from pathlib import Path

import pytest

from nginx.render import Settings, render
from tests.nginx.gateway import Gateway, Upstream, environment, running
from tests.nginx.parsed import Block, parse

SPOOFED = {
    "X-User-Id": "1",
    "x-user-roles": "admin",
    "X-Session-Id": "stolen",
    "X_User_Id": "1",
    "X-Real-IP": "203.0.113.9",
    "X-Forwarded-For": "203.0.113.9",
    "X-Forwarded-Proto": "https",
    "X-Forwarded-Host": "evil.example",
    "X-Forwarded-Port": "1",
    "X-Forwarded-Prefix": "/evil",
    "Forwarded": "for=203.0.113.9",
    "Proxy": "http://evil.example",
}
# One address for every proxying location of nginx.conf.
PROXIED = [
    ("auth", "GET", "/api/auth/me"),
    ("auth", "POST", "/api/auth/login"),
    ("auth", "POST", "/api/auth/register"),
    ("auth", "POST", "/api/auth/password"),
    ("auth", "GET", "/api/auth/.well-known/jwks.json"),
    ("main", "GET", "/api/limits"),
    ("main", "POST", "/api/submissions"),
    ("main", "POST", "/api/submissions/7/rerun"),
    ("main", "OPTIONS", "/api/submissions"),
]


@pytest.fixture(params=[{}, {"RESOLVER": "127.0.0.1"}], ids=["kept connections", "resolver"])
def rendered(request: pytest.FixtureRequest, tmp_path: Path) -> Block:
    variables = environment(tmp_path, "auth:1", "main:2", **request.param)
    return parse(render(Settings.from_env(variables))["nginx.conf"])


def test_every_proxying_location_overwrites_the_identity_headers(rendered: Block) -> None:
    proxying = [location for location in rendered.all_blocks("location") if location.has("proxy_pass")]

    assert len(proxying) >= 5
    assert [location.words for location in proxying if not location.has("include", "proxy.conf")] == []


def test_only_the_verifying_include_sets_an_identity(rendered: Block) -> None:
    for location in rendered.all_blocks("location"):
        assert not location.has("auth_request_set"), location.words
        own = [words[0] for words in location.directives.get("proxy_set_header", [])]
        assert own in ([], ["Content-Length", "Authorization"]), location.words


def test_every_answering_location_carries_the_security_headers(rendered: Block) -> None:
    for location in rendered.all_blocks("location"):
        closed = location.has("return", "404") or location.has("internal")
        assert closed or location.has("include", "security.conf"), location.words
        assert not location.has("add_header"), f"{location.words}: add_header here would drop the include's"


@pytest.mark.parametrize(("service", "method", "path"), PROXIED)
def test_spoofed_headers_never_reach_a_service(
    gateway: Gateway, auth: Upstream, main: Upstream, service: str, method: str, path: str
) -> None:
    gateway.request(method, path, headers=SPOOFED)

    (asked,) = {"auth": auth, "main": main}[service].asked
    for name in ("X-User-Id", "X-User-Roles", "X-Session-Id", "X_User_Id", "X-Forwarded-Port"):
        assert asked.header(name) is None
    for name in ("X-Forwarded-Prefix", "Forwarded", "Proxy"):
        assert asked.header(name) is None
    assert asked.header("X-Real-IP") == asked.header("X-Forwarded-For") == "127.0.0.1"
    assert asked.header("X-Forwarded-Proto") == "http"
    assert asked.header("X-Forwarded-Host") == f"127.0.0.1:{gateway.port}"
    assert "203.0.113.9" not in str(asked.headers)
    assert "evil" not in str(asked.headers)


def test_a_verified_identity_replaces_a_spoofed_one(gateway: Gateway, main: Upstream) -> None:
    gateway.get("/api/submissions/1", headers={**SPOOFED, "Authorization": "Bearer user-42-student"})

    (asked,) = main.asked
    assert asked.header("X-User-Id") == "42"
    assert asked.header("X-User-Roles") == "student"
    assert asked.header("X-Session-Id") == "session-42"
    assert asked.header("Authorization") == "Bearer user-42-student"  # main_service verifies it once more.


def test_one_callers_identity_does_not_stay_for_the_next(gateway: Gateway, main: Upstream) -> None:
    gateway.get("/api/limits", headers={"Authorization": "Bearer user-42-student"})
    gateway.get("/api/limits")
    gateway.get("/api/limits", headers={"Authorization": "Bearer user-43-admin"})

    assert [asked.header("X-User-Id") for asked in main.asked] == ["42", None, "43"]


def test_forwarded_addresses_are_believed_from_trusted_proxies_only(
    tmp_path: Path, auth: Upstream, main: Upstream
) -> None:
    forwarded = {"X-Forwarded-For": "198.51.100.7, 127.0.0.1", "X-Forwarded-Proto": "https"}
    variables = environment(tmp_path, auth.address, main.address, TRUSTED_PROXIES="127.0.0.0/8", HSTS_SECONDS="600")

    with running(tmp_path, variables) as gateway:
        answer = gateway.get("/api/limits", headers=forwarded)

    (asked,) = main.asked
    assert asked.header("X-Real-IP") == asked.header("X-Forwarded-For") == "198.51.100.7"
    assert asked.header("X-Forwarded-Proto") == "https"
    assert answer.headers["Strict-Transport-Security"] == "max-age=600"
