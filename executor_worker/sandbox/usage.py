"""What a process uses, seen from outside: the kernel's figures, never the program's own."""

from __future__ import annotations

import os
import time

from executor_worker.sandbox.limits import Usage

_PAGE = os.sysconf("SC_PAGE_SIZE")
_CLOCK_OF_A_PROCESS = 0b010  # CPUCLOCK_SCHED in the kernel's clock numbers: exact, not in ticks.


class Gone(Exception):
    """There is no such process any more."""


def cpu_ns(pid: int) -> int:
    """Processor time of all threads of the process."""
    try:
        return time.clock_gettime_ns((~pid << 3) | _CLOCK_OF_A_PROCESS)
    except OSError as error:
        raise Gone from error


def usage(pid: int) -> Usage:
    address, resident, data = _memory_pages(pid)
    return Usage(
        cpu_ms=cpu_ns(pid) // 1_000_000,
        address_bytes=address * _PAGE,
        data_bytes=data * _PAGE,
        resident_bytes=resident * _PAGE,
    )


def resident_bytes(pid: int) -> int:
    return _memory_pages(pid)[1] * _PAGE


def most_resident_kib(pid: int) -> int:
    """The most that was resident at any time, what was shared with the parent included."""
    try:
        with open(f"/proc/{pid}/status", "rb", buffering=0) as status:
            for line in status.read(4096).splitlines():
                if line.startswith(b"VmHWM:"):
                    return int(line.split()[1])
    except OSError as error:
        raise Gone from error
    raise Gone


def _memory_pages(pid: int) -> tuple[int, int, int]:
    try:
        with open(f"/proc/{pid}/statm", "rb", buffering=0) as statm:
            fields = statm.read(200).split()
    except OSError as error:
        raise Gone from error
    return int(fields[0]), int(fields[1]), int(fields[5])
