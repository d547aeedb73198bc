"""Ask the runner, over its unix socket, to run one program; read what it and the program say.

Two channels, never mixed up: on the control connection the supervisor states facts; on the claims
pipe, whose writing end travels to the confined child, the student's process gives its own account.
Both are read against a budget of bytes and of time. Nothing here decides what a run is worth.
"""

from __future__ import annotations

import os
import selectors
import socket
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from threading import Event
from typing import Any

from executor_worker.account import AccountReader
from executor_worker.errors import Abandoned, RunnerAway
from executor_worker.frames import FrameBuffer, pack
from executor_worker.outcome import Facts, Outcome
from executor_worker.strict_json import Malformed, listed, one_of, optional, parse, record, text, whole
from service_kit.messages import Limits

CLAIMS_BYTES = 8 << 20  # All a program may say in one run, pictures included.
CONNECT_SECONDS = 2.0
HELLO_SECONDS = 5.0
START_SECONDS = 20.0  # A child is waiting in the pool; to refill an empty one takes well under a second.
OVERTIME_SECONDS = 5.0  # The supervisor ends a run at its wall limit. When it has not by then, it never will.
LAST_WORDS_SECONDS = 2.0  # After we hang up, for the facts about the run it ends.
LOOK_UP_SECONDS = 0.25  # How often a quiet run is interrupted to ask whether it is still wanted.

_HELLO = record(
    {
        "isolation": text(32),
        "memory_source": text(32),
        "python": text(40),
        "marimo": text(40),
        "packages": listed(record({"name": text(200), "version": text(100)}), 2000),
        "slots": whole(1, 10_000),
    }
)
_CONTROL = {
    "started": record({}),
    "ended": record(
        {
            "exit_code": optional(whole(-(2**31))),
            "signal": optional(whole(0, 128)),
            "killed": optional(one_of(("cpu", "wall", "memory", "cancelled"))),
            "cpu_ms": whole(),
            "wall_ms": whole(),
            "memory_kib": whole(),
            "memory_source": text(32),
            "isolation": text(32),
        }
    ),
    "failed": record({"reason": text(10_000)}),
}


@dataclass(frozen=True)
class Hello:
    """What the runner says of itself."""

    isolation: str
    memory_source: str
    python: str
    marimo: str
    packages: list[dict[str, str]]
    slots: int


class RunnerClient:
    """The way to the runner. Holds no connection: each request is a connection of its own, safe in any thread."""

    def __init__(self, socket_path: str) -> None:
        self._socket_path = socket_path

    def hello(self) -> Hello:
        """Who is there. Raises RunnerAway when nobody is, or nobody answers."""
        with self._connected() as control:
            control.settimeout(HELLO_SECONDS)
            control.sendall(pack({"op": "hello"}))
            buffer = FrameBuffer()
            while True:
                if not (received := control.recv(1 << 16)):
                    raise RunnerAway("the runner hung up without a word")
                for raw in buffer.feed(received):
                    return Hello(**_HELLO(parse(raw)))

    def run(self, job: dict[str, Any], limits: Limits, abandon: Event) -> Outcome:
        """Run the program to its end, whatever end that is.

        Raises RunnerAway when no run could even be asked for, Abandoned when `abandon` is set before the end.
        """
        with self._connected() as control:
            claims, childs_end = os.pipe()
            with open(claims, "rb", buffering=0) as account:
                try:
                    self._ask(control, job, limits, childs_end)
                finally:
                    os.close(childs_end)  # The program's end of the pipe must be the last one open.
                return _Conversation(control, account.fileno(), limits, abandon).outcome()

    def _ask(self, control: socket.socket, job: dict[str, Any], limits: Limits, childs_end: int) -> None:
        request = pack({"op": "run", "job": job, "limits": {**asdict(limits), "claims_bytes": CLAIMS_BYTES}})
        sent = socket.send_fds(control, [request], [childs_end])
        if sent < len(request):
            control.sendall(request[sent:])  # Not even an empty rest: a quick run may be over, the connection closed.

    @contextmanager
    def _connected(self) -> Iterator[socket.socket]:
        try:
            with closing(socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)) as control:
                control.settimeout(CONNECT_SECONDS)
                control.connect(self._socket_path)
                yield control
        except (OSError, Malformed) as error:
            raise RunnerAway(f"the runner cannot be reached: {error}") from error


class _Conversation:
    """One run, listened to on both channels until it is over."""

    def __init__(self, control: socket.socket, claims: int, limits: Limits, abandon: Event) -> None:
        self._control = control
        self._claims = claims
        self._limits = limits
        self._abandon = abandon
        self._reader = AccountReader()
        self._outcome = Outcome(account=self._reader.account)
        self._control_frames = FrameBuffer()
        self._claims_frames = FrameBuffer()
        self._claims_left = CLAIMS_BYTES
        self._deadline = time.monotonic() + START_SECONDS
        self._has_hung_up = False
        self._is_over = False

    def outcome(self) -> Outcome:
        """Listen to the end. Raises Abandoned when the worker must go first; leaving kills the run."""
        self._control.setblocking(False)
        os.set_blocking(self._claims, False)
        with selectors.DefaultSelector() as self._selector:
            self._selector.register(self._control, selectors.EVENT_READ, self._hear_supervisor)
            self._selector.register(self._claims, selectors.EVENT_READ, self._hear_program)
            while not self._is_over:
                for key, _ in self._selector.select(LOOK_UP_SECONDS):
                    key.data()
                self._look_up()
        self._outcome.finished_at = datetime.now(UTC)
        return self._outcome

    def _look_up(self) -> None:
        if self._is_over:
            return
        if self._abandon.is_set():
            raise Abandoned("the worker is going")
        if time.monotonic() > self._deadline:
            self._end_without_facts("the runner did not end the run in time")

    def _end_without_facts(self, reason: str) -> None:
        """Our fault, unless it was we who hung up on a program that had earned it."""
        if not self._has_hung_up:
            self._outcome.failure = reason
        self._is_over = True

    # The supervisor: facts ------------------------------------------------------------------------

    def _hear_supervisor(self) -> None:
        try:
            received = self._control.recv(1 << 16)
            if not received:
                self._end_without_facts("the runner hung up in the middle of a run")
            for raw in self._control_frames.feed(received):
                self._take_fact(parse(raw))
        except (ConnectionError, Malformed) as error:
            self._end_without_facts(f"the runner cannot be understood: {error}")

    def _take_fact(self, frame: Any) -> None:
        event = frame.get("event") if type(frame) is dict else None
        if event not in _CONTROL:
            raise Malformed("an event that was not agreed")
        fact = _CONTROL[event](frame)
        if event == "started":
            self._outcome.started_at = datetime.now(UTC)
            self._deadline = time.monotonic() + self._limits.wall_ms / 1000 + OVERTIME_SECONDS
        elif event == "ended":
            self._outcome.facts = Facts(**fact)
            self._hear_program()  # It is dead: what it still said lies in the pipe, and no more will come.
            self._is_over = True
        else:
            self._end_without_facts(fact["reason"])

    # The program: claims --------------------------------------------------------------------------

    def _hear_program(self) -> None:
        """Read all that is there now, unless it has been hung up on already."""
        try:
            while not self._has_hung_up:
                received = os.read(self._claims, 1 << 16)
                if not received:
                    self._stop_hearing_program()
                    return
                self._claims_left -= len(received)
                for raw in self._claims_frames.feed(received):
                    self._reader.take(raw)
                if self._claims_left < 0 or self._reader.printed_bytes > self._limits.output_bytes:
                    self._outcome.flooded = True
                    self._hang_up()
        except BlockingIOError:
            return
        except Malformed as violation:
            self._outcome.violation = str(violation)
            self._hang_up()

    def _hang_up(self) -> None:
        """Have the supervisor kill the run, and stay for its last words: what the run used."""
        self._has_hung_up = True
        self._stop_hearing_program()
        self._deadline = time.monotonic() + LAST_WORDS_SECONDS
        with suppress(OSError):  # It may have ended by itself just now.
            self._control.shutdown(socket.SHUT_WR)

    def _stop_hearing_program(self) -> None:
        with suppress(KeyError):
            self._selector.unregister(self._claims)
