"""main_service's internal API as the worker sees it: a real HTTP server whose rows remember what befell them.

Claims and results are compare-and-set, as in the real one. `frozen` holds every answer back, `away`
answers 503, `stop()` closes the port; `start()` opens the same one again.
"""

import json
import re
import socket
import threading
import time
from contextlib import suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

TOKEN = "a-service-token-of-the-tests"
LIMITS = {"cpu_ms": 2000, "wall_ms": 4000, "memory_kib": 65536, "output_bytes": 65536}


@dataclass
class Row:
    """One submission."""

    source: str
    language: str = "python"
    stdin: str = ""
    status: str = "queued"
    attempt: int = 0
    lease_until: float = 0.0
    claims: list[dict[str, Any]] = field(default_factory=list)
    results: list[dict[str, Any]] = field(default_factory=list)  # Those that were stored.
    request_ids: set[str] = field(default_factory=set)

    @property
    def result(self) -> dict[str, Any]:
        (only,) = self.results
        return only


class MainServiceDouble:
    def __init__(self) -> None:
        self.rows: dict[int, Row] = {}
        self.workers: dict[str, dict[str, Any]] = {}
        self.requests: list[tuple[str, str]] = []
        self.away = False
        self.answer_instead: dict[str, int] = {}  # Path ending → status, for one's own kinds of trouble.
        self.limits = dict(LIMITS)
        self.most_bytes = 8 << 20
        self.connections: set[socket.socket] = set()
        self._lock = threading.Lock()
        self._may_answer = threading.Event()
        self._may_answer.set()
        self._port = 0
        self._server: ThreadingHTTPServer | None = None

    def start(self) -> "MainServiceDouble":
        double = self

        class Handler(_Handler):
            service = double

        self._server = ThreadingHTTPServer(("127.0.0.1", self._port), Handler)
        self._server.daemon_threads = True
        self._port = self._server.server_port
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
        return self

    def stop(self) -> None:
        self.thaw()
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()
            self._server = None
        for connection in list(self.connections):
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)

    def freeze(self) -> None:
        self._may_answer.clear()

    def thaw(self) -> None:
        self._may_answer.set()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._port}"

    def add(self, submission_id: int, source: str = "hello", **row: Any) -> Row:
        self.rows[submission_id] = Row(source, **row)
        return self.rows[submission_id]

    def answer(self, method: str, path: str, body: dict[str, Any], request_id: str) -> tuple[int, dict[str, Any]]:
        self._may_answer.wait(60)
        with self._lock:
            self.requests.append((method, path))
            for ending, status in self.answer_instead.items():
                if path.endswith(ending):
                    return status, {"code": "as_told"}
            if self.away:
                return 503, {"code": "service_unavailable"}
            if path == "/livez":
                return 200, {"status": "ok"}
            if match := re.fullmatch(r"/internal/workers/(.+)", path):
                self.workers[match[1]] = body
                return 204, {}
            match = re.fullmatch(r"/internal/submissions/(\d+)/(claim|result)", path)
            row = self.rows.get(int(match[1])) if match else None
            if match is None or row is None:
                return 404, {"code": "not_found"}
            row.request_ids.add(request_id)
            return (self._claim if match[2] == "claim" else self._store)(int(match[1]), row, body)

    def _claim(self, submission_id: int, row: Row, body: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        row.claims.append(body)
        lapsed = row.lease_until < time.monotonic()
        if row.status != "queued" and not (row.status == "running" and (lapsed or body["redelivered"])):
            return 409, {"code": "not_claimable"}
        row.status, row.attempt, row.lease_until = "running", row.attempt + 1, time.monotonic() + 60
        return 200, {
            "submission_id": submission_id,
            "attempt": row.attempt,
            "lease_seconds": 60,
            "language": row.language,
            "source": row.source,
            "stdin": row.stdin,
            "limits": self.limits,
            "checks": [],
            "request_id": "",
        }

    def _store(self, submission_id: int, row: Row, body: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        if row.status != "running" or body["attempt"] != row.attempt:
            return 409, {"code": "stale_attempt"}
        row.status = "queued" if body["status"] == "internal_error" and row.attempt < 3 else body["status"]
        row.results.append(body)
        return 200, {"status": row.status}


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    service: MainServiceDouble

    def _handle(self) -> None:
        length = int(self.headers.get("Content-Length") or 0)
        body = json.loads(self.rfile.read(length)) if length else {}
        too_large = length > self.service.most_bytes
        if self.path != "/livez" and self.headers["Authorization"] != f"Bearer {TOKEN}":
            status, answer = 401, {"code": "unauthorized"}
        elif too_large:
            status, answer = 413, {"code": "payload_too_large"}
        else:
            request_id = self.headers.get("X-Request-Id", "")
            status, answer = self.service.answer(self.command, self.path, body, request_id)
        raw = b"" if status == 204 else json.dumps(answer).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(raw)))
        self.end_headers()
        self.wfile.write(raw)

    do_GET = do_POST = do_PUT = do_PATCH = _handle  # noqa: N815

    def handle(self) -> None:
        self.service.connections.add(self.connection)
        try:
            super().handle()
        except ConnectionError:
            pass  # The worker gave up waiting, or was killed.
        finally:
            self.service.connections.discard(self.connection)

    def log_message(self, format: str, *args: object) -> None:
        """Tests read `requests` instead."""
