"""What is known of a run when it is over: the runner's facts, and the program's own account of itself.

Facts come from the supervisor, which the student's code cannot reach. The account is written by the
student's process and is a claim, never a verdict: verdict.py weighs the two.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal

Killed = Literal["cpu", "wall", "memory", "cancelled"]


@dataclass(frozen=True)
class Facts:
    """How the process ended and what it used. CPU and wall in milliseconds, memory in KiB."""

    exit_code: int | None
    signal: int | None
    killed: Killed | None
    cpu_ms: int
    wall_ms: int
    memory_kib: int
    memory_source: str
    isolation: str


@dataclass
class Account:
    """What the program said of itself, as far as it came before the end: partial after a kill."""

    kind: str | None = None  # "notebook" or "script"; None when not even the cells were announced.
    cells: list[dict[str, Any]] = field(default_factory=list)  # In the order of the file: id, name, code, line.
    graph: dict[str, Any] = field(default_factory=lambda: {"edges": [], "defs": {}, "refs": {}})
    finished: dict[str, dict[str, Any]] = field(default_factory=dict)  # What each finished cell gave, by id.
    console: dict[str, list[dict[str, str]]] = field(default_factory=dict)  # What unfinished cells printed so far.
    invalid: dict[str, Any] | None = None  # The program never ran: its first error, and all of them.
    done: bool = False


@dataclass
class Outcome:
    """All that is known. `failure` is ours; `violation` and `flooded` are the program's."""

    account: Account = field(default_factory=Account)
    facts: Facts | None = None
    failure: str | None = None
    violation: str | None = None
    flooded: bool = False
    started_at: datetime | None = None
    finished_at: datetime | None = None
