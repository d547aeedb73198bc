"""How much of everything one program may use, as the kernel counts it per process.

A program cannot start processes (policy.py), so what the kernel counts per process is what the program uses.
"""

from __future__ import annotations

import resource
from dataclasses import asdict, dataclass

OPEN_FILES = 64
FILE_BYTES = 4 << 20  # One file. The box as a whole is limited by box.py.
STACK_BYTES = 16 << 20
THREADS_OF_A_USER = 48  # Counted per user, so it only holds where the program has a user of its own.
UNCOUNTED_ADDRESS_BYTES = 128 << 20  # Address space that takes no memory: arenas of threads, guard pages.
CPU_BACKSTOP_SECONDS = 2


@dataclass(frozen=True)
class Grant:
    """What a run gets on top of what its process, warm and waiting, already uses. Absolute figures for setrlimit."""

    cpu_seconds: int
    data_bytes: int
    address_bytes: int

    @classmethod
    def on_top_of(cls, usage: Usage, cpu_ms: int, memory_kib: int) -> Grant:
        memory = memory_kib * 1024
        return cls(
            # The supervisor ends a run to the millisecond; this is for the day the supervisor does not.
            cpu_seconds=(usage.cpu_ms + cpu_ms) // 1000 + CPU_BACKSTOP_SECONDS,
            data_bytes=usage.data_bytes + memory,
            address_bytes=usage.address_bytes + memory + UNCOUNTED_ADDRESS_BYTES,
        )

    def to_json(self) -> dict[str, int]:
        return asdict(self)


@dataclass(frozen=True)
class Usage:
    """What a process has used up to now, seen from outside."""

    cpu_ms: int
    address_bytes: int
    data_bytes: int
    resident_bytes: int


def apply_standing_limits(has_own_user: bool) -> None:
    """The limits that are the same for every run, soft and hard alike."""
    _limit(resource.RLIMIT_CORE, 0)
    _limit(resource.RLIMIT_FSIZE, FILE_BYTES)
    _limit(resource.RLIMIT_NOFILE, OPEN_FILES)
    _limit(resource.RLIMIT_STACK, STACK_BYTES)
    _limit(resource.RLIMIT_MEMLOCK, 0)
    _limit(resource.RLIMIT_MSGQUEUE, 0)
    _limit(resource.RLIMIT_NICE, 0)
    _limit(resource.RLIMIT_RTPRIO, 0)
    if has_own_user:
        _limit(resource.RLIMIT_NPROC, THREADS_OF_A_USER)
        _limit(resource.RLIMIT_SIGPENDING, THREADS_OF_A_USER)


def apply_grant(grant: Grant) -> None:
    """The limits of one run. Soft and hard are the same: SIGXCPU could be caught, SIGKILL cannot."""
    _limit(resource.RLIMIT_CPU, grant.cpu_seconds)
    # Private writable memory, touched or not: a program over it sees MemoryError, at the line that asked.
    _limit(resource.RLIMIT_DATA, grant.data_bytes)
    # Shared anonymous memory is not counted above. It is here.
    _limit(resource.RLIMIT_AS, grant.address_bytes)


def _limit(which: int, value: int) -> None:
    _, hard = resource.getrlimit(which)
    if hard != resource.RLIM_INFINITY:
        value = min(value, hard)
    resource.setrlimit(which, (value, value))
