"""Liveness, readiness and metrics, asked in the same way of every process.

A readiness check answers None when it is well, else the reason in a few words.
"""

from __future__ import annotations

import json
import logging
import threading
from collections.abc import Callable, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from service_kit.metrics import METRICS_CONTENT_TYPE, metrics_body

log = logging.getLogger(__name__)

Check = Callable[[], str | None]


def readiness(checks: Mapping[str, Check]) -> tuple[bool, dict[str, str]]:
    """Run every check; (all well, {name: "ok" or the reason}). A check that raises is not well."""
    report = {}
    for name, check in checks.items():
        try:
            report[name] = check() or "ok"
        except Exception as error:  # A broken check is an answer, not a crash of the health page.
            log.warning("readiness_check_raised", extra={"check": name}, exc_info=True)
            report[name] = type(error).__name__
    return all(state == "ok" for state in report.values()), report


def serve_health(bind: str, checks: Mapping[str, Check]) -> ThreadingHTTPServer:
    """Serve /livez, /readyz and /metrics on host:port in a daemon thread, for processes without Flask."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            if self.path == "/livez":
                self._answer(200, "application/json", b'{"status": "ok"}')
            elif self.path == "/readyz":
                well, report = readiness(checks)
                self._answer(200 if well else 503, "application/json", json.dumps(report).encode())
            elif self.path == "/metrics":
                self._answer(200, METRICS_CONTENT_TYPE, metrics_body())
            else:
                self._answer(404, "text/plain", b"not found\n")

        def _answer(self, status: int, content_type: str, body: bytes) -> None:
            self.send_response(status)
            self.send_header("Content-Type", content_type)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            """Probes come every few seconds; they are not worth a line each."""

    host, _, port = bind.rpartition(":")
    server = ThreadingHTTPServer((host, int(port)), Handler)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, name="health", daemon=True).start()
    return server
