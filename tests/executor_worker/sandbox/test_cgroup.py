"""Memory groups, on the system's own: what they count, where they end a process, and that none is left."""

import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from executor_worker.sandbox import cgroup
from tests.executor_worker.sandbox.children import in_a_child

MIB = 1 << 20


@pytest.fixture
def groups() -> Iterator[cgroup.Groups]:
    if (groups := cgroup.open_groups(os.getpid())) is None:
        pytest.skip("this system does not let us make control groups")
    yield groups
    groups.remove()


def hold(entrance: int, size: int) -> int:
    os.write(entrance, b"0")
    held = bytearray(size)
    return len(held)


def test_a_group_counts_what_its_process_takes(groups: cgroup.Groups) -> None:
    group = groups.group(1)
    entrance = group.open_entrance()
    group.begin_run(200 * MIB)

    ended = in_a_child(lambda: hold(entrance, 50 * MIB))

    os.close(entrance)
    assert ended.returned == 50 * MIB
    assert 50 * MIB <= group.peak_bytes() < 60 * MIB
    assert not group.was_out_of_memory()


def test_a_group_forgets_the_run_before(groups: cgroup.Groups) -> None:
    group = groups.group(1)
    for size in (50 * MIB, 5 * MIB):
        entrance = group.open_entrance()
        group.begin_run(200 * MIB)
        in_a_child(lambda entrance=entrance, size=size: hold(entrance, size))  # type: ignore[misc]
        os.close(entrance)

    assert group.peak_bytes() < 15 * MIB


def test_the_kernel_ends_who_takes_too_much(groups: cgroup.Groups) -> None:
    group = groups.group(1)
    entrance = group.open_entrance()
    group.begin_run(20 * MIB)

    ended = in_a_child(lambda: hold(entrance, 100 * MIB))

    os.close(entrance)
    assert ended.signal == signal.SIGKILL
    assert group.was_out_of_memory()


def test_the_next_start_clears_what_a_killed_runner_left(groups: cgroup.Groups) -> None:
    own = Path(groups._folder).parent
    dead = in_a_child(os.getpid).returned
    left = own / f"{cgroup.PREFIX}{dead}"
    left.mkdir()
    (left / "seat-3").mkdir()
    foreign = own / f"{cgroup.PREFIX}{os.getppid()}"  # Somebody who lives.
    foreign.mkdir()

    cgroup.remove_leftovers(own)

    assert not left.exists()
    assert foreign.exists()
    foreign.rmdir()


def test_all_groups_are_removed(groups: cgroup.Groups) -> None:
    groups.group(1)
    folder = Path(groups._folder)
    deadline = time.monotonic() + 5

    while folder.exists() and time.monotonic() < deadline:
        groups.remove()

    assert not folder.exists()
