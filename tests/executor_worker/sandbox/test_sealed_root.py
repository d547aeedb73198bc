"""The sealed root, entered for real: what a process in it sees of the system, of others, and of the network."""

import json
import os
import socket
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from executor_worker.sandbox import library, privileges, sealed_root
from executor_worker.sandbox.box import FIRST_USER
from local_stack.environments import is_open_to_others
from tests.executor_worker.sandbox.children import Ended, in_a_child, outcome_of

PROJECT = str(Path(__file__).parents[3])
AS_ROOT = os.geteuid() == 0 and privileges.has_capability(privileges.CAP_SYS_ADMIN)
# An ordinary user cannot be given an environment that lies where only root may look.
WAYS = [*(["root"] if AS_ROOT else []), *(["user"] if not AS_ROOT or is_open_to_others(Path(sys.prefix)) else [])]


@pytest.fixture(params=WAYS)
def sealed(request: pytest.FixtureRequest) -> Callable[[Callable[[], Any]], Ended]:
    """Call a function in the first process of a sealed root, with a box mounted."""
    as_root = request.param == "root"
    readable = library.library_folders(never=PROJECT)

    def call(function: Callable[[], Any]) -> Ended:
        def enter_and_call() -> Any:
            hear, tell = os.pipe()
            if os.fork() == 0:
                if AS_ROOT and not as_root:
                    os.setgid(65533)
                    os.setuid(65533)
                    # A process that has changed its user is not its own any more, as far as /proc goes.
                    from executor_worker.sandbox import linux

                    linux.prctl(linux.PR_SET_DUMPABLE, 1)
                sealed_root.enter_namespaces(None if as_root else FIRST_USER)
                sealed_root.seal(readable, [FIRST_USER])
                sealed_root.mount_box(FIRST_USER)
                privileges.give_up_everything(FIRST_USER if as_root else None)
                os.write(tell, json.dumps(function()).encode())
                os._exit(0)
            os.close(tell)
            with os.fdopen(hear) as heard:
                return heard.read()

        return in_a_child(enter_and_call)

    return call


def names(folder: str) -> set[str]:
    return {entry.name for entry in Path(folder).iterdir()}


def make_files(count: int) -> None:
    for number in range(count):
        Path(f"file-{number}").touch()


def test_nothing_is_there_but_what_was_given(sealed: Callable[[Callable[[], Any]], Ended]) -> None:
    def look() -> list[Any]:
        return [
            sorted(names("/") - {"lib", "lib64", "usr", "tmp"} - {Path(sys.prefix).parts[1]}),
            sorted(names("/etc")),
            sorted(names("/dev")),
            sorted(names("/proc")),
            Path(PROJECT, "pyproject.toml").exists(),
        ]

    seen = json.loads(sealed(look).returned)

    assert seen == [
        ["box", "config", "dev", "etc", "proc", "var"],
        ["group", "ld.so.cache", "nsswitch.conf", "passwd"],
        ["null", "random", "urandom", "zero"],
        [],
        False,
    ]


def test_nothing_can_be_written_but_the_box(sealed: Callable[[Callable[[], Any]], Ended]) -> None:
    def attempt() -> list[str]:
        paths = ("/planted", "/etc/passwd", sys.prefix + "/planted", "/usr/lib/planted", "/dev/planted")
        return [outcome_of(Path(path).write_text, "x") for path in paths]

    assert set(json.loads(sealed(attempt).returned)) == {"Read-only file system"}


def test_the_box_holds_so_much_and_no_more(sealed: Callable[[Callable[[], Any]], Ended]) -> None:
    def attempt() -> list[str]:
        os.chdir("/box")
        return [
            outcome_of(Path("/var/tmp/fits").write_bytes, bytes(1 << 20)),
            outcome_of(Path("too-much").write_bytes, bytes(sealed_root.BOX_BYTES)),
            outcome_of(make_files, sealed_root.BOX_FILES),
        ]

    full = "No space left on device"
    assert json.loads(sealed(attempt).returned) == ["done", full, full]


def test_nobody_else_is_there(sealed: Callable[[Callable[[], Any]], Ended]) -> None:
    supervisor = os.getpid()

    def attempt() -> list[Any]:
        return [os.getpid(), outcome_of(os.kill, supervisor, 0)]

    assert json.loads(sealed(attempt).returned) == [1, "No such process"]


def test_there_is_no_network(sealed: Callable[[Callable[[], Any]], Ended]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def attempt() -> list[Any]:
            return [outcome_of(socket.create_connection, listener.getsockname()), socket.if_nameindex()]

        assert json.loads(sealed(attempt).returned) == ["Network is unreachable", [[1, "lo"]]]


def test_the_system_itself_is_left_as_it_was(sealed: Callable[[Callable[[], Any]], Ended]) -> None:
    before = Path("/proc/mounts").read_text()

    sealed(lambda: 0)

    assert Path("/proc/mounts").read_text() == before
