"""What the worker asks of the runner, checked: the runner serves one worker and trusts it, but not its typing."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

FILENAMES = ("notebook.py", "main.py")

# The most anybody may ask for, well above every default.
MOST_CPU_MS = 10 * 60_000
MOST_WALL_MS = 60 * 60_000
MOST_MEMORY_KIB = 16 << 20
MOST_BYTES = 1 << 30


class BadRequest(Exception):
    """Not what CONTRACT agrees on. The text says what is wrong with it."""


@dataclass(frozen=True)
class Limits:
    cpu_ms: int
    wall_ms: int
    memory_kib: int
    output_bytes: int


@dataclass(frozen=True)
class Hello:
    """Who is there?"""


@dataclass(frozen=True)
class Order:
    """Run a program. `content` is the request as it came: the child reads the job from it, we do not."""

    content: bytes
    limits: Limits
    program: str = "notebook"


def read_request(content: bytes) -> Hello | Order:
    """Raises BadRequest."""
    try:
        request = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise BadRequest("not JSON") from error
    match request:
        case {"op": "hello"}:
            return Hello()
        case {"op": "run", "job": dict(job), "limits": dict(limits)}:
            _check_job(job)
            return Order(content, _read_limits(limits))
    raise BadRequest("neither hello nor run")


def _check_job(job: dict[str, Any]) -> None:
    if job.get("filename") not in FILENAMES:
        raise BadRequest(f"filename is not one of {', '.join(FILENAMES)}")
    if type(job.get("source")) is not str:
        raise BadRequest("source is not text")
    if type(job.get("stdin", "")) not in (str, type(None)):
        raise BadRequest("stdin is not text")


def _read_limits(limits: dict[str, Any]) -> Limits:
    return Limits(
        cpu_ms=_whole(limits, "cpu_ms", MOST_CPU_MS),
        wall_ms=_whole(limits, "wall_ms", MOST_WALL_MS),
        memory_kib=_whole(limits, "memory_kib", MOST_MEMORY_KIB),
        output_bytes=_whole(limits, "output_bytes", MOST_BYTES),
    )


def _whole(limits: dict[str, Any], name: str, most: int) -> int:
    value = limits.get(name)
    if type(value) is not int or not 1 <= value <= most:
        raise BadRequest(f"limits.{name} is not a whole number from 1 to {most}")
    return value
