"""The supervisor's hold on one warm process: start it, have it fork, hear of its children's ends, let it go."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any, Protocol

from executor_worker.runner import wire
from executor_worker.runner.loop import Loop, Timer
from executor_worker.sandbox import folders
from executor_worker.sandbox.box import Confinement
from executor_worker.sandbox.sealed_root import BOX

MAIN = str(Path(__file__).with_name("__main__.py"))
CHANNEL_DESCRIPTOR = 3
WARM_UP_SECONDS = 120.0

Message = dict[str, Any]


class Owner(Protocol):
    """Who is told what happens to a warm process."""

    def warm(self, process: WarmProcess) -> None: ...
    def cold(self, process: WarmProcess, reason: str, is_refused: bool) -> None: ...
    def unborn(self, process: WarmProcess, seat: int, reason: str) -> None: ...
    def ended(self, process: WarmProcess, message: Message) -> None: ...


class WarmProcess:
    """Made by exec, not by fork: each has an address layout of its own, for its children to share."""

    def __init__(self, loop: Loop, how: Confinement, seats: int, owner: Owner) -> None:
        self.facts: Message = {}
        self.runs = 0
        self.started_at = time.monotonic()
        self._loop = loop
        self._owner = owner
        self._is_over = False
        self._channel, theirs = wire.pair()
        with theirs:
            _start(theirs.fileno(), how)
        self._process: int | None = None  # A descriptor of it, once it is where it will stay.
        wire.say(self._channel, {"how": asdict(how), "seats": seats})
        loop.watch(self._channel, self._hear)
        self._deadline: Timer = loop.after(WARM_UP_SECONDS, self._is_late)

    @property
    def is_warm(self) -> bool:
        return bool(self.facts)

    def fork(self, seat: int, touch: bool, descriptors: list[int]) -> None:
        """A child for this seat; the descriptors are its channel and, if there is one, its group's entrance."""
        wire.say(self._channel, {"fork": seat, "touch": touch}, descriptors)

    def let_go(self) -> None:
        """It ends, and with it whatever children it still has."""
        self._end("let go", tell=False)

    def _hear(self) -> None:
        received = wire.hear(self._channel)
        if not received.data:
            self._end("it ended")
            return
        message = received.message
        tell: dict[str, Callable[[], None]] = {
            "entered": lambda: self._recognize(received.pid),
            "ready": lambda: self._become_warm(message),
            "refused": lambda: self._end(message["reason"], is_refused=True),
            "failed": lambda: self._end(message["reason"]),
            "unborn": lambda: self._owner.unborn(self, message["seat"], message["reason"]),
            "ended": lambda: self._owner.ended(self, message),
        }
        tell[message["event"]]()

    def _recognize(self, pid: int | None) -> None:
        with suppress(ProcessLookupError):  # Dead already; we will hear the end.
            self._process = os.pidfd_open(pid or 0)

    def _become_warm(self, message: Message) -> None:
        self._deadline.cancel()
        self.facts = message["facts"]
        self._owner.warm(self)

    def _is_late(self) -> None:
        self._end(f"it was not warm after {WARM_UP_SECONDS:g} s")

    def _end(self, reason: str, is_refused: bool = False, tell: bool = True) -> None:
        if self._is_over:
            return
        self._is_over = True
        self._deadline.cancel()
        self._loop.forget(self._channel)
        self._channel.close()
        if self._process is not None:
            with suppress(ProcessLookupError):  # It may be deep in some library, and not hear that we hung up.
                signal.pidfd_send_signal(self._process, signal.SIGKILL)
            os.close(self._process)
        if tell:
            self._owner.cold(self, reason, is_refused)


def _start(channel: int, how: Confinement) -> None:
    arguments = [sys.executable, "-s", "-P", "-B", MAIN, "--warm-process"]
    actions = [
        (os.POSIX_SPAWN_OPEN, 0, "/dev/null", os.O_RDONLY, 0),
        (os.POSIX_SPAWN_OPEN, 1, "/dev/null", os.O_WRONLY, 0),
        (os.POSIX_SPAWN_DUP2, channel, CHANNEL_DESCRIPTOR),
    ]
    os.posix_spawn(sys.executable, arguments, _environment(how), file_actions=actions, setsid=True)


def _environment(how: Confinement) -> dict[str, str]:
    """All a program's environment holds. Not -I, which would pass over PYTHONHASHSEED; -s and -P are the rest of it."""
    is_sealed = how.isolation == "namespaces"
    home = BOX if is_sealed else str(Path(how.boxes, folders.WARM))
    return {
        "HOME": home,
        "TMPDIR": home,
        "XDG_CONFIG_HOME": "/config" if is_sealed else str(Path(how.boxes, folders.CONFIGURATION)),
        "LANG": "C.UTF-8",
        "TZ": "UTC",
        "PATH": "/usr/bin:/bin",
        "PYTHONHASHSEED": "0",  # A set is in the same order in each run: a verdict can be repeated.
        # A thread pool would be lost in the fork, and its locks would not.
        **{f"{library}_NUM_THREADS": "1" for library in ("OPENBLAS", "OMP", "MKL")},
    }
