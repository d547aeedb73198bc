"""A runner that speaks the real protocol on a real unix socket, and whose programs are Python functions.

What a program does is looked up by its source text. A program gets a `Run`: it may say frames, honest
or not, and decide how the supervisor ends it. A program without an entry prints "hello" and is done.
"""

import array
import json
import os
import socket
import struct
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

HELLO = {
    "event": "hello",
    "isolation": "processes",
    "cgroup": "none",
    "memory_source": "rusage",
    "python": "3.11.2",
    "marimo": "0.25.2",
    "packages": [{"name": "numpy", "version": "2.4.1"}],
    "slots": 2,
    "pool": 2,
}
FACTS = {
    "event": "ended",
    "exit_code": 0,
    "signal": None,
    "killed": None,
    "cpu_ms": 12,
    "wall_ms": 20,
    "memory_kib": 3000,
    "memory_source": "rusage",
    "isolation": "processes",
}
ERROR = {"type": "ValueError", "message": "no", "line": 1, "traceback": "Traceback …"}


def frame(body: bytes | dict[str, Any]) -> bytes:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    return struct.pack(">I", len(raw)) + raw


def notebook(*ids: str, kind: str = "notebook", edges: Any = (), **more: Any) -> dict[str, Any]:
    cells = [{"id": cell_id, "name": "_", "code": f"# {cell_id}", "line": 1} for cell_id in ids]
    graph = {"edges": [list(edge) for edge in edges], "defs": {}, "refs": {}}
    return {"type": "notebook", "kind": kind, "cells": cells, "graph": graph} | more


def cell(cell_id: str, stdout: str = "", stderr: str = "", **more: Any) -> dict[str, Any]:
    console = [{"channel": name, "text": text} for name, text in (("stdout", stdout), ("stderr", stderr)) if text]
    base: dict[str, Any] = {"type": "cell", "id": cell_id, "status": "ok", "outputs": [], "error": None, "time_ms": 1.5}
    return base | {"console": console} | more


DONE = {"type": "done"}


class Run:
    """One run as the program and its supervisor see it."""

    def __init__(self, control: socket.socket, claims: int, request: dict[str, Any]) -> None:
        self._control = control
        self._claims = claims
        self.job = request["job"]
        self.limits = request["limits"]
        self.has_ended = False
        self.was_hung_up = False

    def say(self, *frames: bytes | dict[str, Any]) -> None:
        self.say_raw(b"".join(frame(one) for one in frames))

    def say_raw(self, raw: bytes) -> None:
        view = memoryview(raw)
        while view:
            view = view[os.write(self._claims, view) :]

    def state(self, *facts: bytes | dict[str, Any]) -> None:
        """Say something as the supervisor."""
        self._control.sendall(b"".join(frame(one) for one in facts))

    def end(self, **facts: Any) -> None:
        self.has_ended = True
        self.close_claims()
        self.state(FACTS | facts)

    def close_claims(self) -> None:
        if self._claims >= 0:
            os.close(self._claims)
            self._claims = -1

    def wait_for_hang_up(self) -> None:
        """Until the worker closes its half of the control connection."""
        self._control.settimeout(30)
        self.was_hung_up = self._control.recv(1) == b""


def hello_world(run: Run) -> None:
    run.say(notebook("a", kind="script"), cell("a", "hello\n"), DONE)


class RunnerDouble:
    """Listens from `start()` to `stop()`; both may be called again. `runs` remembers every run."""

    def __init__(self, path: str) -> None:
        self.path = path
        self.programs: dict[str, Callable[[Run], None]] = {}
        self.runs: list[Run] = []
        self.hello: dict[str, Any] = dict(HELLO)
        self._listener: socket.socket | None = None
        self._connections: set[socket.socket] = set()

    def start(self) -> "RunnerDouble":
        with suppress(FileNotFoundError):
            Path(self.path).unlink()
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._listener.bind(self.path)
        self._listener.listen()
        threading.Thread(target=self._accept, args=(self._listener,), daemon=True).start()
        return self

    def stop(self) -> None:
        """Die: the listener and every run's connection are closed."""
        if self._listener is not None:
            self._listener.shutdown(socket.SHUT_RDWR)
            self._listener.close()
            self._listener = None
        for connection in list(self._connections):
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)

    def _accept(self, listener: socket.socket) -> None:
        with suppress(OSError):
            while True:
                connection, _ = listener.accept()
                threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        self._connections.add(connection)
        with connection, suppress(OSError):
            request, descriptors = _receive(connection)
            if request["op"] == "hello":
                connection.sendall(frame(self.hello))
                return
            (claims,) = descriptors
            run = Run(connection, claims, request)
            self.runs.append(run)
            try:
                run.state({"event": "started", "pid": 4711})
                self.programs.get(run.job["source"], hello_world)(run)
                if not run.has_ended:
                    run.end(**({"exit_code": None, "signal": 9, "killed": "cancelled"} if run.was_hung_up else {}))
            finally:
                run.close_claims()
        self._connections.discard(connection)


def _receive(connection: socket.socket) -> tuple[dict[str, Any], list[int]]:
    descriptors = array.array("i")
    received, ancillary, _, _ = connection.recvmsg(65536, socket.CMSG_SPACE(4))
    for level, kind, payload in ancillary:
        if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
            descriptors.frombytes(payload)
    (length,) = struct.unpack(">I", received[:4])
    while len(received) < 4 + length:
        received += connection.recv(65536)
    return json.loads(received[4:]), list(descriptors)
