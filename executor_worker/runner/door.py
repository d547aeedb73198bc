"""The unix socket the worker knocks at. It is there only while the runner serves."""

from __future__ import annotations

import fcntl
import os
import socket
from contextlib import suppress
from pathlib import Path

LONGEST_PATH = 100  # The kernel's own limit is 108, with the ending below.


class Occupied(Exception):
    """Another runner serves this socket."""


class Door:
    """Closed at first: whoever finds the socket finds a runner that has passed its self-test."""

    def __init__(self, path: str) -> None:
        """Raises Occupied; OSError when the folder cannot be written."""
        self.path = path
        if len(os.fsencode(path)) > LONGEST_PATH:
            raise OSError(f"{path} is too long for the name of a socket")
        self._listener: socket.socket | None = None
        self._lock = open(f"{path}.lock", "w")  # noqa: SIM115 - held for as long as this process lives.
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise Occupied(f"another runner serves {path}") from None

    @property
    def is_open(self) -> bool:
        return self._listener is not None

    def open(self) -> socket.socket:
        """Appear in one step, over what a runner that was killed may have left."""
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._listener.setblocking(False)
        fresh = f"{self.path}.new"
        Path(fresh).unlink(missing_ok=True)
        before = os.umask(0o117)  # The worker shares our group; a program's user is in none.
        try:
            self._listener.bind(fresh)
        finally:
            os.umask(before)
        self._listener.listen(128)
        Path(fresh).rename(self.path)
        return self._listener

    def let_in(self) -> socket.socket | None:
        if self._listener is None:
            return None
        with suppress(OSError):  # It changed its mind.
            return self._listener.accept()[0]
        return None

    def close(self) -> None:
        if self._listener is not None:
            Path(self.path).unlink(missing_ok=True)
            self._listener.close()
            self._listener = None
