"""A real runner, and a worker's half of the protocol, for tests: nothing here is shared with executor_worker."""

from __future__ import annotations

import atexit
import functools
import json
import os
import select
import shutil
import signal
import socket
import struct
import subprocess
import tempfile
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

from local_stack.environments import is_open_to_others, notebook_python

ROOT = Path(__file__).parents[3]
PYTHON = notebook_python()
MAIN = "executor_worker/runner/__main__.py"
START_SECONDS = 60.0
LENGTH = struct.Struct(">I")

LIMITS = {
    "cpu_ms": 5_000,
    "wall_ms": 10_000,
    "memory_kib": 256 * 1024,
    "output_bytes": 64 * 1024,
    "claims_bytes": 8 << 20,
}


@dataclass
class Told:
    """What a run left: the supervisor's frames, and the program's own."""

    facts: list[dict[str, Any]] = field(default_factory=list)
    claims: list[Any] = field(default_factory=list)

    @property
    def end(self) -> dict[str, Any]:
        return self.facts[-1]

    @property
    def is_done(self) -> bool:
        return bool(self.claims) and self.claims[-1] == {"type": "done"}

    @property
    def printed(self) -> str:
        """The consoles of all finished cells; of a killed program, what it had published."""
        cells = [claim for claim in self.claims if claim["type"] == "cell"]
        if not cells:
            return "".join(claim["text"] for claim in self.claims if claim["type"] == "console")
        return "".join(piece["text"] for cell in cells for piece in cell["console"])

    @property
    def errors(self) -> list[dict[str, Any]]:
        return [claim["error"] for claim in self.claims if claim["type"] == "cell" and claim["error"]]


class Conversation:
    """One connection with one run on it."""

    def __init__(self, path: str, source: str, stdin: str = "", filename: str = "main.py", **limits: int) -> None:
        self.control = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.control.settimeout(START_SECONDS)
        self.control.connect(path)
        self.claims, childs_end = os.pipe()
        request = {
            "op": "run",
            "job": {"source": source, "filename": filename, "stdin": stdin},
            "limits": LIMITS | limits,
        }
        content = framed(json.dumps(request).encode())
        sent = socket.send_fds(self.control, [content], [childs_end])
        self.control.sendall(content[sent:])
        os.close(childs_end)

    def fact(self) -> dict[str, Any] | None:
        return read_fact(self.control)

    def all(self) -> Told:
        """Until the supervisor has said its last word; whatever the program has said lies in the pipe by then."""
        told, said, deadline = Told(), bytearray(), time.monotonic() + START_SECONDS
        os.set_blocking(self.claims, False)
        while not told.facts or told.end["event"] == "started":
            ready, _, _ = select.select([self.control], [], [], 0.05)
            if time.monotonic() > deadline:
                raise TimeoutError(f"still running: {told.facts}")
            said += self._said()  # Its pipe must not fill up.
            if self.control in ready:
                fact = self.fact()
                assert fact is not None, "the supervisor hung up without a word"
                told.facts.append(fact)
        said += self._said()
        self.close()
        told.claims = whole_frames(bytes(said))
        return told

    def _said(self) -> bytes:
        said = b""
        with suppress(BlockingIOError):
            while received := os.read(self.claims, 1 << 20):
                said += received
        return said

    def close(self) -> None:
        self.control.close()
        if self.claims >= 0:
            os.close(self.claims)
            self.claims = -1


def framed(content: bytes) -> bytes:
    return LENGTH.pack(len(content)) + content


def read_fact(control: socket.socket) -> dict[str, Any] | None:
    """The next of the supervisor's frames; None when it has hung up."""
    if len(head := _exactly(control, LENGTH.size)) < LENGTH.size:
        return None
    fact: dict[str, Any] = json.loads(_exactly(control, LENGTH.unpack(head)[0]))
    return fact


def _exactly(control: socket.socket, size: int) -> bytes:
    received = b""
    while len(received) < size:
        if not (more := control.recv(size - len(received))):
            return received
        received += more
    return received


def whole_frames(said: bytes) -> list[Any]:
    """What can be read of a program's claims; a killed one stops in the middle of a word."""
    frames = []
    while len(said) >= LENGTH.size:
        (length,) = LENGTH.unpack_from(said)
        with suppress(ValueError):
            frames.append(json.loads(said[LENGTH.size : LENGTH.size + length]))
        said = said[LENGTH.size + length :]
    return frames


@functools.cache
def where_all_can_read() -> Path:
    """The project, or a copy of what a runner needs of it where the project is closed to its programs' users."""
    if os.geteuid() != 0 or is_open_to_others(ROOT):
        return ROOT
    copy = Path(tempfile.mkdtemp(prefix="labs-runner-home-"))
    atexit.register(shutil.rmtree, copy, ignore_errors=True)
    copy.chmod(0o755)
    shutil.copytree(ROOT / "executor_worker", copy / "executor_worker", ignore=shutil.ignore_patterns("__pycache__"))
    return copy


class Runner:
    """A runner process in a folder of its own. Its programs' users must be able to reach `root`."""

    def __init__(
        self,
        *arguments: str,
        root: Path = ROOT,
        slots: int = 2,
        user: int | None = None,
        prefix: Sequence[str] = (),
    ) -> None:
        self.user = user
        self.folder = Path(tempfile.mkdtemp(prefix="labs-runner-test-"))
        self.folder.chmod(0o777)
        self.path = str(self.folder / "runner.sock")
        self.boxes = self.folder / "boxes"
        self._log_path = self.folder / "log"
        self.command = [
            *prefix,
            str(PYTHON if root == ROOT else root / PYTHON.parents[1].name / "bin" / "python"),
            "-I",
            str((where_all_can_read() if root == ROOT else root) / MAIN),
            *("--socket", self.path, "--slots", str(slots), "--box-dir", str(self.boxes), *arguments),
        ]

    def __enter__(self) -> Self:
        self.start()
        self.wait_until_listening()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(self, **environment: str) -> None:
        with self._log_path.open("ab") as log:
            self.process: subprocess.Popen[bytes] = subprocess.Popen(
                self.command,
                stderr=log,
                env=environment,
                cwd="/",
                user=self.user,
                group=self.user,
                extra_groups=None if self.user is None else [],
            )

    def wait_until_listening(self) -> None:
        deadline = time.monotonic() + START_SECONDS
        while not Path(self.path).exists():
            if self.process.poll() is not None or time.monotonic() > deadline:
                raise AssertionError(f"the runner does not listen: {self._log_path.read_text()}")
            select.select([], [], [], 0.02)

    def stop(self, with_signal: int = signal.SIGTERM) -> int:
        if self.process.poll() is None:
            self.process.send_signal(with_signal)
        atexit.register(shutil.rmtree, self.folder, ignore_errors=True)  # Late: a failed test may want its log.
        return self.process.wait(20)

    def text(self) -> str:
        return self._log_path.read_text()

    def log(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.text().splitlines() if line.startswith("{")]

    def events(self, name: str) -> list[dict[str, Any]]:
        return [line for line in self.log() if line["message"] == name]

    def processes(self) -> dict[int, str]:
        """The runner's own and its programs', by number: the whole family below it, with their states."""
        parents: dict[int, tuple[int, str]] = {}
        for status in Path("/proc").glob("[0-9]*/stat"):
            with suppress(OSError):
                pid, rest = status.read_text().split(" ", 1)
                state, parent = rest.rsplit(")", 1)[1].split()[:2]
                parents[int(pid)] = (int(parent), state)
        family, grown = {self.process.pid}, True
        while grown:
            more = {pid for pid, (parent, _) in parents.items() if parent in family} - family
            family, grown = family | more, bool(more)
        return {pid: parents[pid][1] for pid in family if pid in parents}

    def run(self, source: str, stdin: str = "", filename: str = "main.py", **limits: int) -> Told:
        return self.begin(source, stdin, filename, **limits).all()

    def begin(self, source: str, stdin: str = "", filename: str = "main.py", **limits: int) -> Conversation:
        return Conversation(self.path, source, stdin, filename, **limits)

    def connect(self) -> socket.socket:
        control = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        control.settimeout(START_SECONDS)
        control.connect(self.path)
        return control

    def ask(self, request: bytes) -> dict[str, Any] | None:
        """Send anything; the first frame that comes back."""
        with self.connect() as control:
            control.sendall(request)
            return read_fact(control)

    def hello(self) -> dict[str, Any]:
        answer = self.ask(framed(b'{"op":"hello"}'))
        assert answer is not None
        return answer
