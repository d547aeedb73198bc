"""Whatever nginx has to say itself, it says in the services' error shape."""

import json
import threading
from pathlib import Path

import pytest

from service_kit.errors import problem_body
from tests.nginx.gateway import Answer, Gateway, Upstream, environment, running


def problem_of(raw: bytes) -> tuple[int, dict[str, str], dict[str, object]]:
    """Status, headers and body of a raw answer."""
    head, _, body = raw.partition(b"\r\n\r\n")
    first, *lines = head.decode().split("\r\n")
    headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}
    return int(first.split()[1]), headers, json.loads(body)


def test_the_body_is_the_services_body(gateway: Gateway) -> None:
    answer = gateway.get("/no-such-page", headers={"X-Request-Id": "my-request-1"})

    body = answer.json()
    assert answer.status_code == 404
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert body == problem_body(404, "not_found", body["detail"], "my-request-1")


ADDRESSES = ["/internal", "/internal/", "/internal/verify", "/internal/submissions/1/claim", "//internal/verify"]
ADDRESSES += ["/api", "/apix", "/metrics", "/readyz", "/livez", "/_problem", "/.git/config", "/sub/.env"]
ADDRESSES += ["/api/../internal/submissions/1/claim", "/api/%2e%2e/internal/verify", "/internal%2fverify"]
ADDRESSES += ["/../nginx/nginx.conf", "/..%2f..%2fetc/passwd", "/index.html/x", "/static/"]


@pytest.mark.parametrize("path", ADDRESSES)
def test_closed_and_unknown_addresses_are_404(gateway: Gateway, auth: Upstream, main: Upstream, path: str) -> None:
    raw = gateway.say(f"GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode())

    status, headers, body = problem_of(raw)
    assert status in (404, 400)
    assert status == 404 or "/.." in path, "only a path above the root is malformed"
    assert headers["content-type"] == "application/problem+json"
    assert body["status"] == status
    assert auth.asked == main.asked == []


REQUESTS: dict[str, tuple[bytes, int, str]] = {
    "no HTTP at all": (b"\x16\x03\x01\x02\x00\x01\r\n\r\n", 400, "bad_request"),
    "bad method": (b"ge%t / HTTP/1.1\r\nHost: x\r\n\r\n", 400, "bad_request"),
    "no host": (b"GET / HTTP/1.1\r\n\r\n", 400, "bad_request"),
    "two hosts": (b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", 400, "bad_request"),
    "bad host": (b"GET / HTTP/1.1\r\nHost: a/b\r\n\r\n", 400, "bad_request"),
    "bad escape": (b"GET /%zz HTTP/1.1\r\nHost: x\r\n\r\n", 400, "bad_request"),
    "zero byte": (b"GET /%00 HTTP/1.1\r\nHost: x\r\n\r\n", 400, "bad_request"),
    "bad escape in the API": (b"GET /api/%zz HTTP/1.1\r\nHost: x\r\n\r\n", 400, "bad_request"),
    "negative length": (b"POST /api/x HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n", 400, "bad_request"),
    "two lengths": (
        b"POST /api/x HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
        400,
        "bad_request",
    ),
    "length and chunks": (
        b"POST /api/x HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        400,
        "bad_request",
    ),
    "unknown transfer encoding": (
        b"POST /api/x HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: gzip\r\n\r\n",
        501,
        "not_implemented",
    ),
    "broken chunk": (
        b"POST /api/x HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        400,
        "bad_request",
    ),
    "long address": (b"GET /" + b"a" * 20_000 + b" HTTP/1.1\r\nHost: x\r\n\r\n", 414, "uri_too_long"),
    "large header": (
        b"GET /api/x HTTP/1.1\r\nHost: x\r\nX-Big: " + b"a" * 20_000 + b"\r\n\r\n",
        431,
        "headers_too_large",
    ),
    "large cookie": (
        b"GET / HTTP/1.1\r\nHost: x\r\nCookie: " + b"a" * 20_000 + b"\r\n\r\n",
        431,
        "headers_too_large",
    ),
    "HTTP/3.0": (b"GET / HTTP/3.0\r\nHost: x\r\n\r\n", 505, "http_version_not_supported"),
    "TRACE": (b"TRACE / HTTP/1.1\r\nHost: x\r\n\r\n", 405, "method_not_allowed"),
    "declared too large": (
        b"POST /api/submissions HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999\r\n\r\n",
        413,
        "payload_too_large",
    ),
    "unreadable and declared too large": (
        b"POST /%zz HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999\r\n\r\n",
        400,
        "bad_request",
    ),
}


@pytest.mark.parametrize(("request_text", "status", "code"), REQUESTS.values(), ids=REQUESTS.keys())
def test_unreadable_requests(gateway: Gateway, main: Upstream, request_text: bytes, status: int, code: str) -> None:
    request_text = request_text.replace(b"Host: x\r\n", b"Host: x\r\nConnection: close\r\n", 1)

    answered, headers, body = problem_of(gateway.say(request_text))

    assert answered == status
    assert headers["content-type"] == "application/problem+json"
    assert headers["x-content-type-options"] == "nosniff"
    assert body == problem_body(status, code, str(body["detail"]), headers["x-request-id"])
    assert main.asked == []


def test_a_body_over_the_limit_is_413(gateway: Gateway, main: Upstream) -> None:
    most = 2 * 1024 * 1024
    fits = gateway.post("/api/submissions", data=b"x" * most)
    too_large = gateway.post("/api/submissions", data=b"x" * (most + 1))
    unannounced = gateway.post("/api/submissions", data=iter([b"x" * most, b"x"]))

    assert [answer.status_code for answer in (fits, too_large, unannounced)] == [200, 413, 413]
    assert too_large.json()["detail"] == "The request body is larger than 2m."
    assert len(main.asked) == 1


def test_the_page_answers_reading_methods_only(gateway: Gateway) -> None:
    answer = gateway.post("/", data=b"x")

    assert answer.status_code == 405
    assert answer.headers["Allow"] == "GET, HEAD"
    assert answer.json()["code"] == "method_not_allowed"


def test_a_services_own_error_passes_untouched(gateway: Gateway, main: Upstream) -> None:
    body = b'{"code":"queue_full","detail":"Later."}'
    for status in (400, 401, 403, 404, 405, 409, 413, 422, 429, 500, 502, 503, 504):
        headers = {"Content-Type": "application/problem+json", "Retry-After": "17", "Allow": "PUT"}
        main.answers = lambda _asked, status=status, headers=headers: Answer(status, body, headers)  # type: ignore[misc]

        answer = gateway.get("/api/submissions/1")

        assert (answer.status_code, answer.content) == (status, body)
        assert (answer.headers["Retry-After"], answer.headers["Allow"]) == ("17", "PUT")


def test_a_dead_service_is_a_502(tmp_path: Path, auth: Upstream) -> None:
    with running(tmp_path, environment(tmp_path, auth.address, "127.0.0.1:1")) as gateway:
        answer = gateway.get("/api/submissions")

    assert (answer.status_code, answer.json()["code"]) == (502, "service_unavailable")
    assert answer.headers["Retry-After"]


def quicker(rendered: str) -> str:
    """Thirty seconds of patience are too long for a test."""
    return rendered.replace("proxy_read_timeout 30s;", "proxy_read_timeout 200ms;")


def test_a_service_that_is_too_slow_is_a_504(tmp_path: Path, auth: Upstream, main: Upstream) -> None:
    let_go = threading.Event()

    def slow(_asked: object) -> Answer:
        let_go.wait(10)
        return Answer()

    main.answers = slow
    with running(tmp_path, environment(tmp_path, auth.address, main.address), edit=quicker) as gateway:
        answer = gateway.get("/api/submissions")
        let_go.set()

    assert (answer.status_code, answer.json()["code"]) == (504, "service_unavailable")


@pytest.mark.parametrize(("path", "status"), [("/nothing", 404), ("/api/limits", 401)])
def test_an_error_answers_head_without_a_body(gateway: Gateway, path: str, status: int) -> None:
    answer = gateway.request("HEAD", path, headers={"Authorization": "Bearer forged"})

    assert (answer.status_code, answer.content) == (status, b"")


def test_a_cross_origin_page_may_read_the_gateways_errors(gateway: Gateway) -> None:
    def ask(origin: str) -> dict[str, str]:
        headers = {"Origin": origin, "Authorization": "Bearer forged"}
        return dict(gateway.get("/api/limits", headers=headers).headers)

    listed, foreign = ask("http://localhost:3000"), ask("http://localhost:3000.evil.example")

    assert listed["Access-Control-Allow-Origin"] == "http://localhost:3000"
    assert listed["Access-Control-Allow-Credentials"] == "true"
    assert "Retry-After" in listed["Access-Control-Expose-Headers"]
    assert not [name for name in foreign if name.startswith("Access-Control")]


def test_an_error_names_no_version(gateway: Gateway) -> None:
    assert gateway.get("/nothing").headers["Server"] == "nginx"
