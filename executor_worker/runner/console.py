"""What a program prints, in the order it printed it, whichever way it took.

print() and sys.stdout.buffer come here directly. What is written below Python, with os.write(1, …) or by
a C library, lands in an unlinked file behind descriptors 1 and 2, and is fetched from there before each
thing Python prints next. A file, not a pipe: nobody has to empty it, so nothing can wait for ever.

What a running cell has printed so far is published every tenth of a second: a program that is killed has
shown what it did until then. Once a program has printed more than it may, the rest is dropped unread.
"""

from __future__ import annotations

import _thread
import codecs
import io
import os
import signal
import threading
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any

PUBLISH_SECONDS = 0.1
OVERSHOOT_BYTES = 1024  # Kept beyond the limit: the worker counts for itself, and must see that it was passed.
SMALL_STACK = 256 * 1024  # The publisher's. A full one would be taken from the memory the student may use.
TAP_RESET_BYTES = 256 * 1024

Take = Callable[[], list[dict[str, str]]]  # Gives id (of the cell), channel and text of what is not published yet.


class Console:
    """Collects what the cells print. `stdout` and `stderr` are what they see as sys.stdout and sys.stderr."""

    def __init__(self, most_bytes: int) -> None:
        self.stdout = TextStream(self, "stdout", 1)
        self.stderr = TextStream(self, "stderr", 2)
        self._lock = threading.RLock()  # A signal handler may print in the middle of a print.
        self._left = most_bytes + OVERSHOOT_BYTES
        self._taps: list[Tap] = []
        self._cell: str | None = None
        self._pieces = Pieces()
        self._unpublished = Pieces()
        self._is_open = True

    def tap_descriptors(self, folder: Path) -> None:
        """From now on descriptors 1 and 2 end here too. `folder` must be writable."""
        self._taps = [Tap("stdout", 1, folder), Tap("stderr", 2, folder)]

    def keep_publishing(self, publish: Callable[[Take], None]) -> None:
        """Publish from a thread of our own, unseen by `threading`, until close().

        `publish` takes when it is its turn to speak, and not before: what it takes belongs to the cell that runs
        then. Were our lock held while it waits, a print from a signal handler could wait for ever.
        """
        usual = _thread.stack_size(SMALL_STACK)
        with suppress(RuntimeError):  # No thread to be had: then a cell's output comes when it ends.
            _thread.start_new_thread(self._publish_now_and_then, (publish,))
        _thread.stack_size(usual)

    def begin(self, cell_id: str) -> None:
        """What is printed from now on belongs to this cell."""
        with self._lock:
            self._drain()
            self._cell, self._pieces, self._unpublished = cell_id, Pieces(), Pieces()

    def end(self) -> Pieces:
        """All the cell printed. Grows with what its threads still print, until the next begin()."""
        with self._lock:
            self._drain()
            self._cell, self._unpublished = None, Pieces()
            return self._pieces

    def close(self) -> None:
        """Drop whatever is printed from now on."""
        with self._lock:
            self._drain()
            self._is_open = False
            self._left = 0

    def write(self, channel: str, text: str) -> None:
        if self._left <= 0:
            return
        with self._lock:
            self._drain()
            self._add(channel, text)

    def _add(self, channel: str, text: str) -> None:
        text, size = _printable(text)
        if size > self._left:
            text, size = _head(text, self._left), self._left
        self._left -= size
        self._pieces.add(channel, text)
        if self._cell is not None:
            self._unpublished.add(channel, text)

    def _drain(self) -> None:
        for tap in self._taps:
            if self._left > 0 and (text := tap.fetch(self._left)):
                self._add(tap.channel, text)

    def _take_unpublished(self) -> list[dict[str, str]]:
        with self._lock:
            self._drain()
            rest, self._unpublished = self._unpublished, Pieces()
            return [{"id": self._cell, **piece} for piece in rest.listed()] if self._cell is not None else []

    def _publish_now_and_then(
        self, publish: Callable[[Take], None], sleep: Callable[[float], None] = time.sleep
    ) -> None:
        signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())  # A student's signals are for the student.
        with suppress(OSError):  # The channel is closed: whoever closed it did not want to be heard.
            while self._is_open:
                sleep(PUBLISH_SECONDS)
                publish(self._take_unpublished)


class Pieces:
    """Printed text, cut only where the channel changes."""

    def __init__(self) -> None:
        self._pieces: list[tuple[str, list[str]]] = []

    def add(self, channel: str, text: str) -> None:
        if not text:
            return
        if not self._pieces or self._pieces[-1][0] != channel:
            self._pieces.append((channel, []))
        self._pieces[-1][1].append(text)

    def listed(self) -> list[dict[str, str]]:
        return [{"channel": channel, "text": "".join(texts)} for channel, texts in self._pieces]

    def __bool__(self) -> bool:
        return bool(self._pieces)


def _printable(text: str) -> tuple[str, int]:
    """The text as UTF-8 can hold it, and its size there."""
    if text.isascii():
        return text, len(text)
    encoded = text.encode("utf-8", "backslashreplace")
    return encoded.decode(), len(encoded)


def _head(text: str, size: int) -> str:
    return text.encode()[:size].decode("utf-8", "ignore")


class Tap:
    """An unlinked file behind a descriptor, and how far it has been read."""

    def __init__(self, channel: str, descriptor: int, folder: Path) -> None:
        self.channel = channel
        path = folder / f".{channel}"
        self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND | os.O_CLOEXEC, 0o600)
        path.unlink()
        os.dup2(self._file, descriptor)
        self._read = 0
        self._decoder = codecs.getincrementaldecoder("utf-8")("backslashreplace")

    def fetch(self, most_bytes: int) -> str:
        """What has come since the last time. Nothing once the student has closed the file."""
        try:
            size = os.fstat(self._file).st_size
            if size == self._read:
                return ""
            received = os.pread(self._file, min(size - self._read, most_bytes), self._read)
            self._read = size
            if size > TAP_RESET_BYTES:  # The box is small, and so is the largest file in it.
                os.ftruncate(self._file, 0)
                self._read = 0
        except OSError:
            return ""
        return self._decoder.decode(received)


class TextStream(io.TextIOBase):
    """sys.stdout or sys.stderr of a student's program."""

    encoding = "utf-8"
    errors = "backslashreplace"
    newlines = None
    line_buffering = True
    write_through = True
    mode = "w"

    def __init__(self, console: Console, channel: str, descriptor: int) -> None:
        self._console = console
        self._channel = channel
        self._descriptor = descriptor
        self.name = f"<{channel}>"
        self.buffer = BinaryStream(console, channel, descriptor)

    def write(self, text: str, /) -> int:
        if type(text) is not str:
            if not isinstance(text, str):
                raise TypeError(f"write() argument must be str, not {type(text).__name__}")
            text = str.__str__(text)  # A subclass may carry anything along.
        self._console.write(self._channel, text)
        return len(text)

    def writelines(self, lines: Iterable[str], /) -> None:  # type: ignore[override]
        for line in lines:
            self.write(line)

    def fileno(self) -> int:
        return self._descriptor

    def writable(self) -> bool:
        return True

    def isatty(self) -> bool:
        return False

    def reconfigure(self, **_: Any) -> None:
        """Accepted and ignored: there is nothing here to buffer or to encode."""

    def close(self) -> None:
        """Stays open: the cells after this one share it."""


class BinaryStream(io.BufferedIOBase):
    """sys.stdout.buffer: bytes, decoded as they come."""

    mode = "wb"

    def __init__(self, console: Console, channel: str, descriptor: int) -> None:
        self._console = console
        self._channel = channel
        self._descriptor = descriptor
        self._decoder = codecs.getincrementaldecoder("utf-8")("backslashreplace")
        self.name = f"<{channel}>"

    def write(self, data: Any, /) -> int:
        if isinstance(data, str):
            raise TypeError("a bytes-like object is required, not 'str'")
        data = bytes(data)
        self._console.write(self._channel, self._decoder.decode(data))
        return len(data)

    def fileno(self) -> int:
        return self._descriptor

    def writable(self) -> bool:
        return True

    def close(self) -> None:
        """Stays open, like the text stream above it."""


# Input ------------------------------------------------------------------------------------------------


class Stdin(io.TextIOWrapper):
    """sys.stdin: the input given with the job, in a file behind descriptor 0."""

    def __init__(self, text: str, folder: Path) -> None:
        path = folder / ".stdin"
        path.write_bytes(text.encode("utf-8", "backslashreplace"))
        with path.open("rb") as given:
            os.dup2(given.fileno(), 0)
        path.unlink()
        super().__init__(io.BufferedReader(io.FileIO(0, closefd=False)), encoding="utf-8", errors="backslashreplace")
        self.given_lines = len(text.splitlines())

    def _readline_with_prompt(self, prompt: str = "", password: bool = False) -> str:
        """marimo's getpass.getpass() asks its stdin so."""
        return asking_for(self)(prompt)


def asking_for(stdin: Stdin, python_input: Callable[[Any], str] = input) -> Callable[..., str]:
    """The builtin input(), which says what is wrong when there is nothing left to read."""

    def input(prompt: object = "", /) -> str:  # noqa: A001
        """Read a line from the input given with this run. The trailing newline is stripped."""
        try:
            return python_input(prompt)
        except EOFError:
            raise EOFError(_why_no_input(stdin.given_lines)) from None

    return input


def _why_no_input(lines: int) -> str:
    if not lines:
        return "input() was called, but this run was given no input. Fill in the input (stdin) and run it again."
    count = "1 line" if lines == 1 else f"{lines} lines"
    return f"input() was called, but the input given to this run ({count}) is used up. Give it more lines."
