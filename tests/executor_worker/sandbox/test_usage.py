"""Figures of a process, from outside."""

import os
import time

import pytest

from executor_worker.sandbox.usage import Gone, cpu_ns, most_resident_kib, resident_bytes, usage

MIB = 1 << 20


def test_processor_time_is_counted_while_it_is_used() -> None:
    before = cpu_ns(os.getpid())
    deadline = time.process_time() + 0.02
    while time.process_time() < deadline:
        pass

    assert cpu_ns(os.getpid()) - before >= 20_000_000


def test_memory_is_counted_now_and_at_its_highest() -> None:
    before = usage(os.getpid())
    held = bytearray(30 * MIB)

    after = usage(os.getpid())
    assert after.data_bytes - before.data_bytes >= 30 * MIB
    assert resident_bytes(os.getpid()) - before.resident_bytes > 25 * MIB
    del held
    assert most_resident_kib(os.getpid()) * 1024 >= before.resident_bytes + 25 * MIB


def test_a_process_that_is_gone_is_said_to_be() -> None:
    pid = os.fork()
    if pid == 0:
        os._exit(0)
    os.waitpid(pid, 0)

    for question in (cpu_ns, usage, resident_bytes, most_resident_kib):
        with pytest.raises(Gone):
            question(pid)
