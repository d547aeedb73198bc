"""What the gateway adds to every answer, what it hands through, and what it writes down."""

import gzip
import http.client
import json
import socket
import struct
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.nginx.gateway import Answer, Asked, Gateway, Upstream, environment, running

# One address of every kind: page, script, both services, both closed doors.
ANSWERS = ["/", "/app.js", "/nothing", "/internal/x", "/api/limits", "/api/auth/me"]
ONCE = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}


def policy(answer_header: str) -> dict[str, str]:
    return dict(directive.strip().partition(" ")[::2] for directive in answer_header.split(";"))


@pytest.mark.parametrize("path", ANSWERS)
def test_security_headers_stand_on_every_answer_once(gateway: Gateway, main: Upstream, path: str) -> None:
    main.answers = lambda _asked: Answer(headers={**dict.fromkeys(ONCE, "of the service"), "X-Request-Id": "service"})

    answer = gateway.get(path, headers={"X-Request-Id": "asked-for-1"})

    assert {name: answer.headers[name] for name in ONCE} == ONCE
    assert answer.headers["X-Request-Id"] == "asked-for-1"
    assert "frame-ancestors" in policy(answer.headers["Content-Security-Policy"])
    assert "Strict-Transport-Security" not in answer.headers


def test_the_page_runs_its_own_scripts_only(gateway: Gateway) -> None:
    page = policy(gateway.get("/").headers["Content-Security-Policy"])

    assert page["default-src"] == page["frame-ancestors"] == page["base-uri"] == page["form-action"] == "'none'"
    assert page["script-src"] == page["connect-src"] == "'self'"
    assert page["img-src"] == "data:"


def test_an_answer_of_the_api_may_load_nothing(gateway: Gateway) -> None:
    answer = gateway.get("/api/limits")

    assert policy(answer.headers["Content-Security-Policy"])["default-src"] == "'none'"
    assert answer.headers["Cache-Control"] == "private, no-cache"
    assert gateway.get("/api/auth/me").headers["Cache-Control"] == "no-store"


def test_a_services_own_policy_and_caching_stand(gateway: Gateway, main: Upstream) -> None:
    own = {"Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'", "Cache-Control": "max-age=60"}
    main.answers = lambda _asked: Answer(headers=own)

    answer = gateway.get("/api/docs")

    assert {name: answer.headers[name] for name in own} == own


@pytest.mark.parametrize("offered", [None, "short", "has space in it", 'quote"quote', "x" * 65, "ümläut-ümläut"])
def test_an_id_that_is_none_is_replaced(gateway: Gateway, main: Upstream, offered: str | None) -> None:
    headers = {"X-Request-Id": offered.encode()} if offered else {}

    answer = gateway.get("/api/limits", headers=headers)

    given = answer.headers["X-Request-Id"]
    assert given == main.asked[0].header("X-Request-Id")
    assert len(given) == 32
    assert given != offered


def test_an_id_goes_through_to_both_services(gateway: Gateway, auth: Upstream, main: Upstream) -> None:
    headers = {"X-Request-Id": "one-id_for.all", "Authorization": "Bearer user-21-student"}

    gateway.get("/api/limits", headers=headers)

    assert [asked.header("X-Request-Id") for asked in (*auth.asked, *main.asked)] == ["one-id_for.all"] * 2


def test_preflights_are_the_services_business(gateway: Gateway, main: Upstream) -> None:
    allowed = {"Access-Control-Allow-Origin": "http://localhost:3000", "Access-Control-Allow-Credentials": "true"}
    main.answers = lambda _asked: Answer(headers=allowed)
    headers = {"Origin": "http://localhost:3000", "Access-Control-Request-Method": "POST"}

    answer = gateway.request("OPTIONS", "/api/submissions", headers=headers)

    assert main.asked[0].header("Access-Control-Request-Method") == "POST"
    assert {name: answer.headers[name] for name in allowed} == allowed


def test_conditional_reads_work_through_compression(gateway: Gateway, main: Upstream) -> None:
    def tagged(asked: Asked) -> Answer:
        tag = {"ETag": '"3"', "Content-Type": "application/json"}
        known = (asked.header("If-None-Match") or "").removeprefix("W/") == '"3"'
        return Answer(304, b"", tag) if known else Answer(200, json.dumps({"cells": ["x" * 4000]}).encode(), tag)

    main.answers = tagged
    first = gateway.get("/api/submissions/1", headers={"Accept-Encoding": "gzip"}, stream=True)
    assert first.headers["Content-Encoding"] == "gzip"
    assert len(gzip.decompress(first.raw.read())) > 4000
    assert first.headers["ETag"] == 'W/"3"'  # nginx weakens what it compresses: a service must compare weakly.

    second = gateway.get("/api/submissions/1", headers={"If-None-Match": first.headers["ETag"]})

    assert (second.status_code, second.content) == (304, b"")


def test_tokens_are_never_compressed(gateway: Gateway, auth: Upstream) -> None:
    auth.answers = lambda _asked: Answer(body=b"t" * 4000)

    for path in ("/api/auth/login", "/api/auth/refresh"):
        assert "Content-Encoding" not in gateway.post(path, headers={"Accept-Encoding": "gzip"}).headers


def test_connections_to_a_service_are_kept(gateway: Gateway, main: Upstream) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", gateway.port, timeout=10)
    for _ in range(5):  # Over one connection, so that one worker of nginx answers all.
        connection.request("GET", "/api/limits")
        connection.getresponse().read()
    connection.close()

    assert len({asked.connection for asked in main.asked}) == 1
    assert {asked.header("Connection") for asked in main.asked} == {None}


def test_a_body_arrives_whole_and_unchanged(gateway: Gateway, main: Upstream) -> None:
    body = json.dumps({"source": "print('привет')\n" * 20_000}, ensure_ascii=False).encode()

    gateway.post("/api/submissions", data=body, headers={"Idempotency-Key": "k-1", "Content-Type": "application/json"})

    (asked,) = main.asked
    assert asked.body == body
    assert asked.header("Idempotency-Key") == "k-1"


def test_the_address_reaches_a_service_as_it_was_written(gateway: Gateway, main: Upstream) -> None:
    gateway.say(b"GET /api/submissions?cursor=a%2Fb%20c&limit=5 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")

    assert main.asked[0].path == "/api/submissions?cursor=a%2Fb%20c&limit=5"


@pytest.mark.parametrize(
    ("path", "content_type"), [("/", "text/html"), ("/app.js", "text/javascript"), ("/style.css", "text/css")]
)
def test_the_page_is_served_and_revalidated(gateway: Gateway, path: str, content_type: str) -> None:
    answer = gateway.get(path)

    assert answer.status_code == 200
    assert answer.headers["Content-Type"] == f"{content_type}; charset=utf-8"
    assert answer.headers["Cache-Control"] == "no-cache"
    again = gateway.get(path, headers={"If-None-Match": answer.headers["ETag"]})
    assert again.status_code == 304


# The log -----------------------------------------------------------------------------------------


def test_the_log_tells_who_what_and_how_long(gateway: Gateway) -> None:
    headers = {"X-Request-Id": "logged-request-1", "Authorization": "Bearer user-31-student"}

    gateway.post("/api/submissions?draft=1", headers=headers)

    line = gateway.logged("logged-request-1")
    expected = {"method": "POST", "path": "/api/submissions", "status": 200, "user_id": "31", "verify": "204"}
    assert expected.items() <= line.items()
    assert {"service": "gateway", "message": "request", "remote_addr": "127.0.0.1"}.items() <= line.items()
    assert line["seconds"] >= 0


def test_no_secret_is_written_down(gateway: Gateway, main: Upstream) -> None:
    secret = "s3cr3t-of-somebody"
    headers = {
        "Authorization": f"Bearer {secret}",
        "Cookie": f"labs_refresh={secret}",
        "X-CSRF-TOKEN": secret,
        "Referer": f"https://labs.example/reset?token={secret}",
        "User-Agent": secret,
        "X-Request-Id": "logged-request-2",
    }

    gateway.post(f"/api/auth/login?token={secret}", data=json.dumps({"password": secret}), headers=headers)
    gateway.get(f"/api/limits?token={secret}", headers=headers)
    gateway.get(f"/nothing?token={secret}", headers={"X-Request-Id": "logged-request-3"})

    gateway.logged("logged-request-3")
    assert secret not in json.dumps(gateway.log())
    assert secret not in gateway.errors()


def test_a_dead_service_shows_in_the_log_and_no_query_in_the_error_log(tmp_path: Path, auth: Upstream) -> None:
    with running(tmp_path, environment(tmp_path, auth.address, "127.0.0.1:1")) as gateway:
        gateway.get("/api/limits?token=s3cr3t", headers={"X-Request-Id": "dead-service"})
        line = gateway.logged("dead-service")

        assert (line["status"], line["upstream_status"], line["upstream"]) == (502, "502", "127.0.0.1:1")
        assert "s3cr3t" not in gateway.errors()


def test_a_hostile_request_writes_one_harmless_line(gateway: Gateway) -> None:
    gateway.say(
        b'GET /"},{"status":200,"x":"%0a HTTP/1.1\r\nHost: x\r\nX-Request-Id: hostile-1\r\nConnection: close\r\n\r\n'
    )

    assert gateway.logged("hostile-1")["status"] == 404


# Reload, and names that move ---------------------------------------------------------------------


class NameServer:
    """A DNS server on loopback for one name; `address` may change, as a container's does."""

    def __init__(self) -> None:
        self.address = "127.0.0.1"
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind(("127.0.0.1", 0))
        self.bind = f"127.0.0.1:{self._socket.getsockname()[1]}"
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        while True:
            try:
                query, client = self._socket.recvfrom(512)
            except OSError:
                return
            question = query[12:]
            answers = 1 if question[-4:-2] == b"\x00\x01" else 0  # IPv4 only.
            record = b"\xc0\x0c" + struct.pack("!HHIH", 1, 1, 1, 4) + socket.inet_aton(self.address)
            head = query[:2] + struct.pack("!HHHHH", 0x8180, 1, answers, 0, 0)
            self._socket.sendto(head + question + record * answers, client)

    def close(self) -> None:
        self._socket.close()


@pytest.fixture
def name_server() -> Iterator[NameServer]:
    server = NameServer()
    yield server
    server.close()


def test_with_a_resolver_a_service_may_come_back_under_another_address(
    tmp_path: Path, auth: Upstream, main: Upstream, name_server: NameServer
) -> None:
    names = [f"{name}.test:{upstream.address.split(':')[1]}" for name, upstream in (("auth", auth), ("main", main))]
    # Every worker has a memory of its own for names, so one of them.
    variables = environment(tmp_path, *names, RESOLVER=name_server.bind, GATEWAY_WORKERS="1")

    def forgetful(rendered: str) -> str:
        return rendered.replace("valid=5s", "valid=1s")

    with running(tmp_path, variables, edit=forgetful) as gateway:
        answer = gateway.get("/api/limits?a=1", headers={"Authorization": "Bearer user-9-student"})
        assert answer.status_code == 200
        assert (main.asked[0].path, main.asked[0].header("X-User-Id")) == ("/api/limits?a=1", "9")

        name_server.address = "127.0.0.2"  # Nobody listens there.
        _wait_for_status(gateway, 502)
        name_server.address = "127.0.0.1"
        _wait_for_status(gateway, 200)


def _wait_for_status(gateway: Gateway, status: int) -> None:
    deadline = time.monotonic() + 10
    while gateway.get("/api/limits").status_code != status:
        assert time.monotonic() < deadline, f"no {status}"
        threading.Event().wait(0.05)
