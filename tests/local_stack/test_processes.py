import os
import signal
import subprocess
import sys
from dataclasses import replace

import pytest

from local_stack import processes
from local_stack.processes import Identity

# Starts a child that outlives it, says the child's number, and goes.
LEAVES_A_CHILD = "import subprocess; print(subprocess.Popen(['sleep', '600'], stdout=subprocess.DEVNULL).pid)"


@pytest.fixture
def orphan():
    """A session whose leader is gone and one of whose members lives on."""
    started = subprocess.Popen(
        [sys.executable, "-c", LEAVES_A_CHILD], stdout=subprocess.PIPE, text=True, start_new_session=True
    )
    identity = Identity.of(started.pid)
    assert started.stdout is not None
    child = int(started.stdout.readline())
    started.stdout.close()
    started.wait()
    assert identity is not None
    yield identity, child
    processes.signal_process(child, signal.SIGKILL)


def test_what_lives_on_after_its_keeper_is_found(orphan):
    keeper, child = orphan

    assert not keeper.is_alive
    assert processes.of_session(keeper) == {child}


@pytest.mark.parametrize("change", [{"boot": "another boot"}, {"pid": 2**22 - 7}])
def test_strangers_are_left_alone(orphan, change):
    keeper, _ = orphan

    assert processes.of_session(replace(keeper, **change)) == set()


def test_session_of_a_later_process_with_the_same_number_is_a_strangers():
    sleeper = subprocess.Popen(["sleep", "600"], start_new_session=True)
    try:
        identity = Identity.of(sleeper.pid)
        assert identity is not None
        former = replace(identity, started=identity.started - 1)

        assert processes.of_session(identity) == {sleeper.pid}
        assert processes.of_session(former) == set()
        assert not former.is_alive
    finally:
        sleeper.kill()
        sleeper.wait()


def test_process_that_never_was_has_no_identity():
    assert Identity.of(2**22 - 7) is None


def test_memory_of_a_process_is_its_share(orphan):
    _, child = orphan

    assert 0 < processes.memory_kib({child}) < processes.memory_kib({child, os.getpid()})
