"""A place for one child at a time: its user, its box, its memory group, and the way to talk to it."""

from __future__ import annotations

import os
import signal
import socket
from collections.abc import Callable
from contextlib import suppress
from enum import Enum, auto
from typing import TYPE_CHECKING, Any

from executor_worker.sandbox import privileges
from executor_worker.sandbox.box import Confinement
from executor_worker.sandbox.cgroup import MemoryGroup

if TYPE_CHECKING:
    from executor_worker.runner.loop import Timer
    from executor_worker.runner.run import Run
    from executor_worker.runner.warm import WarmProcess


class State(Enum):
    EMPTY = auto()  # Nobody; a child may be born here.
    STARTING = auto()  # Born, not confined yet.
    READY = auto()  # Confined, warm, waiting for a job.
    BUSY = auto()  # Running one.
    LEAVING = auto()  # Told to go, or killed; its end has not been told yet.


class Seat:
    """What the supervisor knows of one place."""

    def __init__(self, number: int, how: Confinement, group: MemoryGroup | None) -> None:
        self.number = number
        self.how = how
        self.group = group
        self.user = how.user_of(number)
        self._be_empty()

    def clear(self) -> None:
        """Nobody sits here any more."""
        if self._process is not None:
            os.close(self._process)
        self._be_empty()

    def _be_empty(self) -> None:
        self.state = State.EMPTY
        self.pid = 0
        self._process: int | None = None  # A descriptor of it: a number could be somebody else's by now.
        self.parent: WarmProcess | None = None
        self.run: Run | None = None
        self.deadline: Timer | None = None
        self._channel: socket.socket | None = None

    @property
    def channel(self) -> socket.socket:
        if self._channel is None:
            raise OSError("there is no way to this child any more")
        return self._channel

    def occupy(self, pid: int) -> None:
        """Who it is that was born here."""
        self.pid = pid
        self._process = os.pidfd_open(pid)

    @property
    def has_channel(self) -> bool:
        return self._channel is not None

    def take(self, parent: WarmProcess, channel: socket.socket) -> None:
        self.state = State.STARTING
        self.parent = parent
        self._channel = channel

    def close_channel(self) -> None:
        """A child that waits for a job takes it for a goodbye."""
        if self._channel is not None:
            self._channel.close()
            self._channel = None

    def kill(self) -> None:
        """With it goes everything it was: it could start no other process."""
        if self._process is None:
            return
        with suppress(ProcessLookupError):
            try:
                signal.pidfd_send_signal(self._process, signal.SIGKILL)
            except PermissionError:
                # Root without CAP_KILL, as in a container that has only what it needs.
                with privileges.acting_as(self.user):
                    signal.pidfd_send_signal(self._process, signal.SIGKILL)

    def acting(self, question: Callable[..., Any], *arguments: Any) -> Any:
        """Ask about the box with the rights of the program whose box it is, and no others."""
        with privileges.acting_as(self.user):
            return question(self.how.folder_of(self.number), *arguments)
