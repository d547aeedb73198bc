"""A real nginx on our configuration, between real small servers that remember what they were asked."""

from __future__ import annotations

import json
import re
import shutil
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import requests

from local_stack import ports
from nginx.render import Settings, write

SITE = Path(__file__).resolve().parents[2] / "frontend"
_READY_SECONDS = 10


@dataclass(frozen=True)
class Asked:
    """One request as it reached an upstream. Header names are lower case; a repeated one shows as a list."""

    method: str
    path: str
    headers: dict[str, list[str]]
    body: bytes
    connection: tuple[str, int]

    def header(self, name: str) -> str | None:
        """The one value of a header; fails when it was sent twice."""
        values = self.headers.get(name.lower(), [])
        assert len(values) < 2, f"{name} came {len(values)} times: {values}"
        return values[0] if values else None


@dataclass(frozen=True)
class Answer:
    """What an upstream says."""

    status: int = 200
    body: bytes = b"{}"
    headers: Mapping[str, str] = field(default_factory=lambda: {"Content-Type": "application/json"})
    cookies: tuple[str, ...] = ()


class Upstream:
    """An HTTP server on loopback. `asked` is its memory, `answers` decides what it says."""

    def __init__(self) -> None:
        self.asked: list[Asked] = []
        self.answers: Callable[[Asked], Answer] = lambda _asked: Answer()
        upstream = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def _answer(self) -> None:
                length = int(self.headers.get("Content-Length") or 0)
                headers: dict[str, list[str]] = {}
                for name, value in self.headers.items():
                    headers.setdefault(name.lower(), []).append(value)
                asked = Asked(self.command, self.path, headers, self.rfile.read(length), self.client_address)
                upstream.asked.append(asked)
                answer = upstream.answers(asked)
                self.send_response(answer.status)
                for name, value in answer.headers.items():
                    self.send_header(name, value)
                for cookie in answer.cookies:
                    self.send_header("Set-Cookie", cookie)
                if answer.status != 204:
                    self.send_header("Content-Length", str(len(answer.body)))
                self.end_headers()
                if self.command != "HEAD" and answer.status != 204:
                    self.wfile.write(answer.body)

            do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = do_OPTIONS = _answer  # noqa: N815

            def log_message(self, format: str, *args: object) -> None:
                """Tests read `asked`, not the console."""

        class Server(ThreadingHTTPServer):
            def handle_error(self, request: Any, client_address: Any) -> None:
                """nginx hangs up when it lost patience; that is no news."""

        self._server = Server(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.address = f"127.0.0.1:{self._server.server_address[1]}"
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


def verifier(asked: Asked) -> Answer:
    """What auth_service says at /internal/verify, by the word in the token: `user-7-student`, `broken`, else 401."""
    known = re.fullmatch(r"Bearer user-(\d+)-(\w+)", asked.header("Authorization") or "")
    if asked.path != "/internal/verify":
        return Answer(body=json.dumps({"service": "auth"}).encode())
    if asked.header("Authorization") == "Bearer broken":
        return Answer(status=500)
    if not known:
        return Answer(
            status=401,
            body=b'{"code":"token_expired"}',
            headers={
                "Content-Type": "application/problem+json",
                "WWW-Authenticate": 'Bearer error="invalid_token"',
            },
        )
    return Answer(
        status=204, headers={"X-User-Id": known[1], "X-User-Roles": known[2], "X-Session-Id": f"session-{known[1]}"}
    )


class Gateway:
    """nginx, running on a configuration that render.py wrote."""

    def __init__(self, home: Path, run_dir: Path, port: int, process: subprocess.Popen[bytes]) -> None:
        self.home, self.run_dir, self.port, self._process = home, run_dir, port, process
        self.url = f"http://127.0.0.1:{port}"

    @property
    def pid(self) -> int:
        return self._process.pid

    def get(self, path: str, **options: Any) -> requests.Response:
        return self.request("GET", path, **options)

    def post(self, path: str, **options: Any) -> requests.Response:
        return self.request("POST", path, **options)

    def request(self, method: str, path: str, **options: Any) -> requests.Response:
        return requests.request(method, self.url + path, timeout=10, allow_redirects=False, **options)

    def say(self, text: bytes) -> bytes:
        """Send raw bytes, and read one whole answer (of known length)."""
        with closing(socket.create_connection(("127.0.0.1", self.port), timeout=10)) as connection:
            connection.sendall(text)
            received = b""
            while not _is_whole(received) and (chunk := connection.recv(65536)):
                received += chunk
        return received

    def log(self) -> list[dict[str, Any]]:
        """The access log, once the last answered request is in it."""
        lines = (self.home / "log" / "nginx_access.log").read_text().splitlines()
        return [json.loads(line) for line in lines]

    def logged(self, request_id: str) -> dict[str, Any]:
        """The line of one request; nginx writes it just after the answer, so wait for it."""
        deadline = time.monotonic() + _READY_SECONDS
        while time.monotonic() < deadline:
            for line in self.log():
                if line["request_id"] == request_id:
                    return line
            threading.Event().wait(0.01)
        raise AssertionError(f"no line for {request_id}")

    def errors(self) -> str:
        return (self.home / "log" / "nginx_error.log").read_text()

    def stop(self) -> None:
        self._process.send_signal(signal.SIGQUIT)
        try:
            self._process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


def _is_whole(answer: bytes) -> bool:
    head, end, body = answer.partition(b"\r\n\r\n")
    length = re.search(rb"(?i)^content-length: (\d+)", head, re.MULTILINE)
    return bool(end and length and len(body) >= int(length[1]))


def environment(home: Path, auth: str, main: str, **changes: str) -> dict[str, str]:
    """A complete environment for render.py. Limits are off unless a test is about them."""
    return {
        "AUTH_UPSTREAM": auth,
        "MAIN_UPSTREAM": main,
        "SITE_ROOT": str(SITE),
        "RUN_DIR": str(home / "run"),
        "LOG_DIR": str(home / "log"),
        "RATE_LOGIN": "off",
        "RATE_SUBMIT": "off",
        "RATE_API": "off",
        **changes,
    }


@contextmanager
def running(
    home: Path, variables: Mapping[str, str], edit: Callable[[str], str] | None = None, user: str | None = None
) -> Iterator[Gateway]:
    """Start nginx on a free port and wait until it is the one who answers there. `edit` changes the rendered text."""
    (port,) = ports.choose(1)
    settings = Settings.from_env({**variables, "GATEWAY_LISTEN": f"127.0.0.1:{port}"})
    command = write(settings, home / "conf")
    if edit:
        conf = home / "conf" / "nginx.conf"
        changed = edit(conf.read_text())
        assert changed != conf.read_text(), "the edit found nothing to change"
        conf.write_text(changed)
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, user=user)
    run_dir = Path(command[command.index("-p") + 1])  # Under /run when root could not use ours: see render.py.
    gateway = Gateway(home, run_dir, port, process)
    try:
        _wait_until_ours(gateway, process)
        yield gateway
    finally:
        gateway.stop()
        assert process.stderr
        process.stderr.close()
        shutil.rmtree(run_dir)


def _wait_until_ours(gateway: Gateway, process: subprocess.Popen[bytes]) -> None:
    name = f"ready-{gateway.port}"
    deadline = time.monotonic() + _READY_SECONDS
    while time.monotonic() < deadline:
        if process.poll() is not None:
            assert process.stderr
            raise AssertionError(f"nginx ended: {process.stderr.read().decode()}")
        try:
            if gateway.get("/", headers={"X-Request-Id": name}).headers.get("X-Request-Id") == name:
                return
        except requests.ConnectionError:
            threading.Event().wait(0.01)
    raise AssertionError("nginx did not start to listen")
