"""What one process may use, and that it cannot use more."""

import mmap
import os
import resource
import signal
import threading
from pathlib import Path

import pytest

from executor_worker.sandbox.limits import (
    FILE_BYTES,
    OPEN_FILES,
    UNCOUNTED_ADDRESS_BYTES,
    Grant,
    Usage,
    apply_grant,
    apply_standing_limits,
)
from executor_worker.sandbox.usage import usage
from tests.executor_worker.sandbox.children import in_a_child, outcome_of

MIB = 1 << 20
USED = Usage(cpu_ms=700, address_bytes=500 * MIB, data_bytes=100 * MIB, resident_bytes=90 * MIB)


def granted(memory_kib: int = 32 * 1024, cpu_ms: int = 10_000) -> None:
    apply_grant(Grant.on_top_of(usage(os.getpid()), cpu_ms, memory_kib))


def take_private(size: int) -> None:
    """From the kernel itself: malloc may still have so much to hand, in a process that has run two thousand tests."""
    mmap.mmap(-1, size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)


def test_a_grant_comes_on_top_of_what_the_warm_process_uses() -> None:
    grant = Grant.on_top_of(USED, cpu_ms=5_000, memory_kib=64 * 1024)

    assert grant.data_bytes == 164 * MIB
    assert grant.address_bytes == 564 * MIB + UNCOUNTED_ADDRESS_BYTES
    assert grant.cpu_seconds == 7  # 5.7 s, rounded down, and the backstop.


def test_memory_within_the_grant_can_be_had_and_beyond_it_cannot() -> None:
    def attempt() -> list[str]:
        granted(memory_kib=32 * 1024)
        return [outcome_of(take_private, 24 * MIB), outcome_of(take_private, 40 * MIB)]

    assert in_a_child(attempt).returned == ["done", "Cannot allocate memory"]


def test_shared_memory_counts_too() -> None:
    def attempt() -> str:
        granted(memory_kib=32 * 1024)
        return outcome_of(mmap.mmap, -1, 40 * MIB + UNCOUNTED_ADDRESS_BYTES)

    assert in_a_child(attempt).returned == "Cannot allocate memory"


def test_a_busy_process_is_killed_even_if_it_ignores_the_warning() -> None:
    def attempt() -> None:
        signal.signal(signal.SIGXCPU, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_CPU, (1, 1))
        while True:
            pass

    assert in_a_child(attempt).signal == signal.SIGKILL


def test_limits_cannot_be_raised() -> None:
    def attempt() -> list[str]:
        if os.getuid() == 0:
            os.setuid(65533)
        apply_standing_limits(has_own_user=False)
        granted()
        return [
            outcome_of(resource.setrlimit, which, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
            for which in (resource.RLIMIT_CPU, resource.RLIMIT_DATA, resource.RLIMIT_AS, resource.RLIMIT_FSIZE)
        ]

    assert in_a_child(attempt).returned == ["ValueError"] * 4


def test_files_are_short_few_and_never_cores(tmp_path: Path) -> None:
    def attempt() -> list[str]:
        apply_standing_limits(has_own_user=False)
        with (tmp_path / "long").open("wb", buffering=0) as file:
            fits = outcome_of(file.write, bytes(FILE_BYTES))
            too_long = outcome_of(file.write, b"x")
        too_many = outcome_of(lambda: [os.open("/dev/null", os.O_RDONLY) for _ in range(OPEN_FILES + 1)])
        return [fits, too_long, too_many, str(resource.getrlimit(resource.RLIMIT_CORE))]

    assert in_a_child(attempt).returned == ["done", "File too large", "Too many open files", "(0, 0)"]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a process a user nobody else is")
def test_a_user_of_ones_own_has_a_number_of_threads() -> None:
    def attempt() -> str:
        os.setuid(64299)
        apply_standing_limits(has_own_user=True)
        hold = threading.Event()
        threads = [threading.Thread(target=hold.wait, daemon=True) for _ in range(100)]

        def start_all() -> None:
            for thread in threads:
                thread.start()

        return outcome_of(start_all)

    assert in_a_child(attempt).returned == "RuntimeError"
