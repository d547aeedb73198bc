"""Functions tried out in a process of their own: what confines a process cannot be taken off again."""

from __future__ import annotations

import json
import os
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any


@dataclass
class Ended:
    """How the child went: what its function returned, or the exception's name; and the kernel's status."""

    returned: Any
    raised: str | None
    status: int

    @property
    def signal(self) -> int | None:
        return os.WTERMSIG(self.status) if os.WIFSIGNALED(self.status) else None


def in_a_child(function: Callable[[], Any]) -> Ended:
    """Fork, call, and bring home what came of it, as JSON."""
    hear, tell = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            os.write(tell, _answer_of(function))
        finally:
            os._exit(0)  # Whatever happens: a second pytest going on here would end the fixtures of the first.
    os.close(tell)
    with os.fdopen(hear, "rb") as heard:
        said = heard.read()
    _, status = os.waitpid(pid, 0)
    answer = json.loads(said) if said else {}
    return Ended(answer.get("returned"), answer.get("raised"), status)


def _answer_of(function: Callable[[], Any]) -> bytes:
    try:
        return json.dumps({"returned": function()}).encode()
    except BaseException as error:  # noqa: BLE001 - told, whatever it is.
        return json.dumps({"raised": type(error).__name__, "why": traceback.format_exc()}).encode()


def outcome_of(function: Callable[..., Any], *arguments: Any) -> str:
    """`done`, or the name of the error: for tables of what may and what may not be."""
    try:
        function(*arguments)
    except OSError as error:
        return os.strerror(error.errno) if error.errno else type(error).__name__
    except (MemoryError, ValueError, RuntimeError) as error:
        return type(error).__name__
    return "done"
