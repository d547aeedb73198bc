"""What the self-test is sent out to catch: a secret, services of this machine, and the supervisor itself."""

from __future__ import annotations

import os
import secrets
import shutil
import socket
import tempfile
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any, Self

PREFIX = "labs-selftest-"
PROJECT = str(Path(__file__))  # Any file of ours: where it can be read, so can the state that lies beside it.


class Baits:
    """Laid out for as long as the self-test lasts. `caught` tells what was touched, as seen from outside."""

    def __init__(self, otherwise: str) -> None:
        """Laid where temporary files go, so that only the sandbox forbids to go there; failing that, in `otherwise`."""
        self._otherwise = otherwise
        self._opened = ExitStack()
        self._listeners: dict[str, socket.socket] = {}

    def __enter__(self) -> Self:
        folder = self._folder()
        self._opened.callback(shutil.rmtree, folder, ignore_errors=True)
        folder.chmod(0o755)
        abstract = f"{PREFIX}{secrets.token_hex(8)}"
        self.description: dict[str, Any] = {
            "pid": os.getpid(),
            "secret": self._plant(folder),
            "project": PROJECT,
            "port": self._listen_on_loopback(),
            "named_socket": self._listen(socket.SOCK_STREAM, f"{folder}/socket"),
            "named_datagrams": self._listen(socket.SOCK_DGRAM, f"{folder}/datagrams"),
            "abstract_socket": abstract,
        }
        self._listen(socket.SOCK_STREAM, f"\0{abstract}")
        return self

    def __exit__(self, *_: object) -> None:
        self._opened.close()

    def caught(self) -> list[str]:
        """The listeners somebody reached."""
        return [name for name, listener in self._listeners.items() if _has_visitors(listener)]

    def _folder(self) -> Path:
        try:
            return Path(tempfile.mkdtemp(prefix=PREFIX))
        except OSError:  # A container whose files are all read-only.
            return Path(tempfile.mkdtemp(prefix=PREFIX, dir=self._otherwise))

    def _plant(self, folder: Path) -> str:
        secret = folder / "secret"
        secret.write_text(secrets.token_hex(16))
        secret.chmod(0o644)
        return str(secret)

    def _listen(self, kind: int, address: str) -> str:
        listener = self._open(f"unix {address!r}", socket.AF_UNIX, kind)
        listener.bind(address)
        if kind == socket.SOCK_STREAM:
            listener.listen()
        if not address.startswith("\0"):
            Path(address).chmod(0o666)
        return address

    def _listen_on_loopback(self) -> int:
        listener = self._open("loopback", socket.AF_INET, socket.SOCK_STREAM)
        with suppress(OSError):  # A container may have no network at all: then there is nothing to be reached either.
            listener.bind(("127.0.0.1", 0))
            listener.listen()
        return int(listener.getsockname()[1])

    def _open(self, name: str, family: int, kind: int) -> socket.socket:
        listener = self._opened.enter_context(socket.socket(family, kind))
        listener.setblocking(False)
        self._listeners[name] = listener
        return listener


def _has_visitors(listener: socket.socket) -> bool:
    try:
        if listener.type == socket.SOCK_DGRAM:
            return bool(listener.recv(1))
        listener.accept()[0].close()
    except OSError:
        return False
    return True
