"""Processes by number, read from /proc: who they are, whom they started, how much memory they hold."""

import contextlib
import os
import signal
from collections import defaultdict
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Self

PROC = Path("/proc")


@dataclass(frozen=True)
class Identity:
    """A process that cannot be mistaken for a later one with the same number."""

    pid: int
    started: int  # Clock ticks after boot.
    boot: str

    @classmethod
    def of(cls, pid: int) -> Self | None:
        """None when there is no such process, or only its remains, which nobody has buried yet."""
        fields = _stat(pid)
        return cls(pid, int(fields[19]), _boot()) if fields and fields[0] != "Z" else None

    @property
    def is_alive(self) -> bool:
        return type(self).of(self.pid) == self

    def as_json(self) -> dict[str, Any]:
        return asdict(self)


def _boot() -> str:
    return (PROC / "sys/kernel/random/boot_id").read_text().strip()


def _stat(pid: int) -> list[str] | None:
    """The fields of /proc/PID/stat after the name: [0] state, [1] parent, [3] session, [19] start time."""
    try:
        text = (PROC / str(pid) / "stat").read_text()
    except OSError:
        return None
    return text[text.rindex(")") + 2 :].split()


def _all() -> dict[int, list[str]]:
    found = {}
    for entry in PROC.iterdir():
        if entry.name.isdecimal() and (fields := _stat(int(entry.name))):
            found[int(entry.name)] = fields
    return found


def children_of(pids: set[int], everybody: dict[int, list[str]] | None = None) -> set[int]:
    """These processes and all they started, over any number of steps."""
    by_parent = defaultdict(set)
    for pid, fields in (everybody or _all()).items():
        by_parent[int(fields[1])].add(pid)
    found, fresh = set(pids), set(pids)
    while fresh:
        fresh = set().union(*(by_parent[pid] for pid in fresh)) - found
        found |= fresh
    return found


def of_session(leader: Identity) -> set[int]:
    """The living members of a session and all they started, whether or not its leader still lives.

    The kernel gives a session's number to nobody else while one member lives; but once all are gone it may, and
    then a process with that number is a stranger, known by another start time.
    """
    if leader.boot != _boot():
        return set()
    everybody = {pid: fields for pid, fields in _all().items() if fields[0] != "Z"}
    stranger = everybody.get(leader.pid)
    if stranger and int(stranger[19]) != leader.started:
        return set()
    members = {pid for pid, fields in everybody.items() if int(fields[3]) == leader.pid}
    return children_of(members, everybody) - {os.getpid()}


def signal_process(pid: int, number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, number)


def memory_kib(pids: set[int]) -> int:
    """Their proportional share of memory (PSS): pages used by several count once in the sum."""
    total = 0
    for pid in pids:
        try:
            rollup = (PROC / str(pid) / "smaps_rollup").read_text()
        except OSError:
            continue  # Gone meanwhile, or another user's.
        total += next((int(line.split()[1]) for line in rollup.splitlines() if line.startswith("Pss:")), 0)
    return total
