"""What a program raised, told to the student: in their own file, by their own lines, without our frames."""

from __future__ import annotations

import difflib
import linecache
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from types import TracebackType
from typing import Any

MOST_MESSAGE = 10_000
MOST_TRACEBACK = 20_000
DEEPEST_TRACEBACK = 2_000  # Python's own recursion limit is 1000; a program can raise it.

NO_PROCESSES = "A program may not start other processes here; threads and asyncio work."
NO_NETWORK = "There is no network here; a program can only use the data it brings along."
ASYNCIO_RUN = "asyncio.run() cannot be called from a running event loop"


class Teller:
    """Tells errors of one program. `filename` is the student's name for it, `folder` where it runs."""

    def __init__(self, filename: str, folder: Path, as_written: Callable[[str], str] = str) -> None:
        """`as_written` gives back a text in which names read as in the student's file."""
        self._filename = filename
        self._as_written = as_written
        self._inside = f"{folder}/"

    def tell(self, error: BaseException, words: str | None = None) -> dict[str, Any]:
        """type, message, line and traceback of what a cell raised, whatever that is made of."""
        try:
            return self._tell(error, words)
        except Exception:  # noqa: BLE001 - It was made to raise when it is looked at.
            return {"type": type_name(error), "message": words or "", "line": None, "traceback": None}

    def _tell(self, error: BaseException, words: str | None) -> dict[str, Any]:
        told = traceback.TracebackException(type(error), error, _traceback_of(error), compact=True)
        raised_in = told.stack[-1].filename if told.stack else ""
        self._keep_own_frames(told)
        line = next((frame.lineno for frame in reversed(told.stack) if frame.filename == self._filename), None)
        source_line = linecache.getline(self._filename, line).strip() if line else None
        message = _cut(words or _message(error, told, source_line), MOST_MESSAGE)
        message = self._as_written(message)
        if hint := _hint(error, raised_in):
            message = f"{message.rstrip('.')}. {hint}" if message else hint
        return {
            "type": type_name(error),
            "message": message,
            "line": line,
            "traceback": _cut("".join(told.format()), MOST_TRACEBACK),
        }

    def _keep_own_frames(self, told: traceback.TracebackException) -> None:
        for one in _chain(told):
            own = [frame for frame in one.stack if self._is_own(frame.filename)]
            for frame in own:
                frame.filename = frame.filename.removeprefix(self._inside)
                frame.name = self._as_written(frame.name)
            one.stack = traceback.StackSummary.from_list(own)

    def _is_own(self, filename: str) -> bool:
        return filename in (self._filename, "<string>") or filename.startswith(self._inside)


def _chain(told: traceback.TracebackException | None) -> Iterator[traceback.TracebackException]:
    """The error, what caused it, and what it groups."""
    waiting = [told]
    while waiting:
        one = waiting.pop()
        if one is not None:
            yield one
            waiting += [one.__cause__, one.__context__, *(one.exceptions or [])]


def _message(error: BaseException, told: traceback.TracebackException, source_line: str | None) -> str:
    if isinstance(error, SystemExit):
        return _why_it_left(error.code)
    if isinstance(error, SyntaxError):
        return str(error.msg)
    first, _, message = "".join(told.format_exception_only()).strip().partition(": ")  # "ValueError: the message"
    if message and "\n" not in first:
        return message + _advice(error)
    if isinstance(error, AssertionError) and source_line:
        return f"The assertion does not hold: {source_line}"
    if isinstance(error, MemoryError):
        return "The program ran out of memory."
    return message


def _advice(error: BaseException) -> str:
    """Python 3.11 knows "Did you mean …?" only when it prints an error itself, so we look for a similar name too."""
    if not isinstance(error, NameError) or not error.name or not (trace := error.__traceback__):
        return ""
    while trace.tb_next is not None:
        trace = trace.tb_next
    frame = trace.tb_frame
    known = {
        name for names in (frame.f_locals, frame.f_globals, frame.f_builtins) for name in names if type(name) is str
    }
    similar = difflib.get_close_matches(error.name, known, n=1, cutoff=0.75)
    return f". Did you mean: '{similar[0]}'?" if similar and not similar[0].startswith("__") else ""


def _why_it_left(code: object) -> str:
    if isinstance(code, int) and code is not None:
        return f"The program ended itself with exit code {code}."
    return str(code)


def _hint(error: BaseException, raised_in: str) -> str | None:
    """What the sandbox has to do with it, when it has."""
    if isinstance(error, RuntimeError) and ASYNCIO_RUN in str(error):
        return "In a notebook, await is allowed in a cell: write `await main()` instead."
    if not isinstance(error, OSError):
        return None
    if "/multiprocessing/" in raised_in or raised_in.endswith(("/subprocess.py", "/concurrent/futures/process.py")):
        return NO_PROCESSES
    if "/urllib/" in raised_in or raised_in.endswith(("/socket.py", "/ssl.py", "/http/client.py")):
        return NO_NETWORK
    return None


def shorten(error: BaseException | None) -> None:
    """Leave out the middle of a very deep traceback: to tell it would take more memory than the program has left."""
    if error is None:
        return
    first = trace = _traceback_of(error)
    depth = 0
    while trace is not None:
        trace, depth = trace.tb_next, depth + 1
    if depth > DEEPEST_TRACEBACK:
        head, tail = _after(first, DEEPEST_TRACEBACK // 2), _after(first, depth - DEEPEST_TRACEBACK // 2)
        head.tb_next = tail


def _after(trace: Any, steps: int) -> Any:
    for _ in range(steps):
        trace = trace.tb_next
    return trace


def _traceback_of(error: BaseException) -> TracebackType | None:
    """Of the error itself, whatever its class makes of the attribute."""
    found: TracebackType | None = BaseException.__dict__["__traceback__"].__get__(error)
    return found


def is_a(error: BaseException | None, kind: type[BaseException]) -> bool:
    """isinstance, without asking the error itself."""
    return error is not None and issubclass(type(error), kind)


def type_name(error: BaseException) -> str:
    try:
        return str(type.__getattribute__(type(error), "__name__"))[:200]
    except Exception:  # noqa: BLE001 - A metaclass can make anything of a name.
        return "Exception"


def _cut(text: str, most: int) -> str:
    """The text, without its middle when it is long, as UTF-8 can hold it."""
    if len(text) > most:
        text = f"{text[: most // 2]}\n… {len(text) - most} characters left out …\n{text[-most // 2 :]}"
    return text.encode("utf-8", "backslashreplace").decode()
