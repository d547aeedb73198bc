"""Whom main_service talks to: auth_service's keys, callers behind the gateway, workers."""

import json
import threading
import time
import uuid
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import jwt as pyjwt
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from flask.testing import FlaskClient

SERVICE_TOKEN = "service-token-of-the-tests-0123456789"


@dataclass
class Signer:
    """An Ed25519 key pair such as auth_service has, with the kid it publishes."""

    kid: str
    key: Ed25519PrivateKey = field(default_factory=Ed25519PrivateKey.generate)

    def token(self, headers: dict[str, Any] | None = None, **changes: Any) -> str:
        """A valid access token; a claim set to None is left out."""
        now = int(time.time())
        claims = {
            "iss": "labs-auth",
            "aud": "labs",
            "sub": "7",
            "role": "student",
            "type": "access",
            "fresh": False,
            "iat": now,
            "nbf": now,
            "exp": now + 600,
            "jti": uuid.uuid4().hex,
            "sid": uuid.uuid4().hex,
        } | changes
        claims = {name: value for name, value in claims.items() if value is not None}
        return pyjwt.encode(claims, self.key, algorithm="EdDSA", headers={"kid": self.kid} | (headers or {}))

    @property
    def public(self) -> dict[str, Any]:
        jwk: dict[str, Any] = json.loads(pyjwt.algorithms.OKPAlgorithm.to_jwk(self.key.public_key()))
        return jwk | {"kid": self.kid, "use": "sig", "alg": "EdDSA"}


class KeyServer:
    """The one page of auth_service that main_service reads, over real HTTP."""

    def __init__(self) -> None:
        self.document: Any = {"keys": []}
        self.status = 200
        self.asked = 0
        keys = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                keys.asked += 1
                found = self.path == "/api/auth/.well-known/jwks.json"
                body = json.dumps(keys.document).encode()
                self.send_response(keys.status if found else 404)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, format: str, *args: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()

    def publish(self, *signers: Signer) -> None:
        self.document = {"keys": [signer.public for signer in signers]}

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


@dataclass(frozen=True, eq=False)
class Caller:
    """Somebody with a token. `headers` is what arrives at main_service behind the gateway."""

    id: int
    headers: dict[str, str]


@dataclass
class Worker:
    """An executor_worker, as far as main_service sees it."""

    client: FlaskClient
    id: str = "worker-1"

    def claim(self, submission_id: int, *, job_key: str | None = None, redelivered: bool = False) -> Any:
        body = {"worker_id": self.id, "job_key": job_key or f"sub-{submission_id}-1", "redelivered": redelivered}
        return self._send("POST", f"/internal/submissions/{submission_id}/claim", body)

    def report(self, submission_id: int, **changes: Any) -> Any:
        return self._send("PATCH", f"/internal/submissions/{submission_id}/result", self.result(**changes))

    def result(self, **changes: Any) -> dict[str, Any]:
        """The body of a result of `print("Hi")`."""
        cell = {
            "id": "Hbol",
            "name": "_",
            "code": 'print("Hi")',
            "line": 1,
            "status": "ok",
            "outputs": [{"mimetype": "text/plain", "data": ""}],
            "console": [{"channel": "stdout", "text": "Hi\n"}],
            "error": None,
            "time_ms": 0.25,
        }
        return {
            "attempt": 1,
            "worker_id": self.id,
            "status": "completed",
            "run_time": 12,
            "wall_time": 15,
            "memory_used": 640,
            "memory_source": "cgroup",
            "isolation": "namespaces",
            "stdout": "Hi\n",
            "stderr": "",
            "error": None,
            "cells": [cell],
            "graph": {"edges": [], "defs": {"Hbol": []}, "refs": {"Hbol": ["print"]}},
            "started_at": "2026-11-23T05:00:00.100000+00:00",
            "finished_at": "2026-11-23T05:00:00.115000+00:00",
        } | changes

    def announce(self, **changes: Any) -> Any:
        python = {
            "id": "python",
            "label": "Python",
            "version": "3.11.2",
            "template": "import marimo\n",
            "packages": [{"name": "numpy", "version": "2.1.0"}],
        }
        body = {"languages": [python], "slots": 2, "isolation": "namespaces", "marimo": "0.25.2"} | changes
        return self._send("PUT", f"/internal/workers/{self.id}", body)

    def _send(self, method: str, path: str, body: dict[str, Any]) -> Any:
        return self.client.open(path, method=method, json=body, headers={"Authorization": f"Bearer {SERVICE_TOKEN}"})
