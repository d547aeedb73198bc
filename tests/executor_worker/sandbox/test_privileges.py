"""What a process gives up, and that it is gone."""

import json
import os
import socket
from pathlib import Path

import pytest

from executor_worker.sandbox import linux, privileges
from tests.executor_worker.sandbox.children import in_a_child, outcome_of

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root has something to give up")
USER = 64_298


@needs_root
def test_everything_is_given_up_for_good() -> None:
    def attempt() -> dict[str, object]:
        privileges.give_up_everything(USER)
        return {
            "users": os.getresuid(),
            "groups": [*os.getresgid(), *os.getgroups()],
            "capabilities": linux.effective_capabilities(),
            "bounding": [number for number in range(41) if linux.prctl(linux.PR_CAPBSET_READ, number)],
            "back to root": outcome_of(os.setuid, 0),
            "another's file": outcome_of(os.open, "/etc/shadow", os.O_RDONLY),
        }

    assert in_a_child(attempt).returned == {
        "users": [USER] * 3,
        "groups": [USER] * 3,
        "capabilities": 0,
        "bounding": [],
        "back to root": "Operation not permitted",
        "another's file": "Permission denied",
    }


@needs_root
def test_some_capabilities_can_be_kept() -> None:
    def attempt() -> int:
        privileges.keep_capabilities(privileges.CAP_SETUID)
        return linux.effective_capabilities()

    assert in_a_child(attempt).returned == 1 << privileges.CAP_SETUID


@needs_root
def test_acting_as_a_user_is_over_afterwards() -> None:
    def attempt() -> list[object]:
        with privileges.acting_as(USER):
            inside = [os.geteuid(), os.getuid(), outcome_of(os.open, "/etc/shadow", os.O_RDONLY)]
        return [*inside, os.geteuid(), outcome_of(os.open, "/etc/shadow", os.O_RDONLY)]

    assert in_a_child(attempt).returned == [USER, 0, "Permission denied", 0, "done"]


def test_only_the_named_descriptors_stay_open() -> None:
    kept, closed = socket.socketpair()
    high = os.dup2(closed.fileno(), 200)

    def attempt() -> None:
        privileges.close_all_but(kept.fileno())
        seen = [outcome_of(os.fstat, each) for each in (0, 1, 2, kept.fileno(), closed.fileno(), high)]
        kept.send(json.dumps(seen).encode())  # The way home is closed as well.

    in_a_child(attempt)

    assert json.loads(closed.recv(1000)) == ["done"] * 4 + ["Bad file descriptor"] * 2
    kept.close()
    closed.close()
    os.close(high)


def test_a_hidden_process_shows_nothing_of_itself() -> None:
    def attempt() -> str:
        privileges.hide_memory()
        if os.getuid() == 0:
            os.seteuid(USER)
        return outcome_of(Path(f"/proc/{os.getpid()}/environ").read_bytes)

    assert in_a_child(attempt).returned == "Permission denied"
