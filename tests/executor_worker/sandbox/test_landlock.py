"""Landlock alone, without the other layers: what it opens, and what it does not."""

import os
import socket
from pathlib import Path

import pytest

from executor_worker.sandbox import landlock, linux
from tests.executor_worker.sandbox.children import in_a_child, outcome_of

pytestmark = pytest.mark.skipif(not landlock.version(), reason="this kernel has no landlock")

DENIED = "Permission denied"


@pytest.fixture
def library(tmp_path: Path) -> Path:
    folder = tmp_path / "library"
    folder.mkdir()
    (folder / "module.py").write_text("x = 1")
    return folder


@pytest.fixture
def box(tmp_path: Path) -> Path:
    folder = tmp_path / "box"
    folder.mkdir()
    return folder


def restricted(library: Path, box: Path) -> None:
    linux.prctl(linux.PR_SET_NO_NEW_PRIVS, 1)
    landlock.restrict([str(library), "/does/not/exist"], [str(box), "/dev/null"])


def test_only_what_is_listed_can_be_read(library: Path, box: Path) -> None:
    def attempt() -> list[str]:
        restricted(library, box)
        return [
            outcome_of((library / "module.py").read_text),
            outcome_of(os.listdir, library),
            outcome_of(os.listdir, library.parent),
            outcome_of(Path("/etc/hostname").read_text),
            outcome_of(Path("/proc/self/environ").read_bytes),
            outcome_of(os.open, "/dev/null", os.O_RDWR),
            outcome_of(os.open, "/dev/tty", os.O_RDWR),
        ]

    assert in_a_child(attempt).returned == ["done", "done", DENIED, DENIED, DENIED, "done", DENIED]


def test_only_the_box_can_be_written_and_holds_plain_things(library: Path, box: Path) -> None:
    def attempt() -> list[str]:
        restricted(library, box)
        return [
            outcome_of((box / "mine").write_text, "x"),
            outcome_of((box / "folder").mkdir),
            outcome_of((box / "mine").rename, box / "folder" / "moved"),
            outcome_of((box / "folder" / "moved").unlink),
            outcome_of((library / "module.py").write_text, "x"),
            outcome_of((library / "planted.py").write_text, "x"),
            outcome_of((box / "link").symlink_to, "/etc"),
            outcome_of(os.mkfifo, box / "fifo"),
            outcome_of(os.link, library / "module.py", box / "hard"),
        ]

    assert in_a_child(attempt).returned == ["done"] * 4 + [DENIED] * 4 + ["Invalid cross-device link"]


@pytest.mark.skipif(landlock.version() < 4, reason="this kernel's landlock knows no network")
def test_tcp_is_closed(library: Path, box: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def attempt() -> list[str]:
            restricted(library, box)
            return [
                outcome_of(socket.create_connection, listener.getsockname()),
                outcome_of(socket.create_server, ("127.0.0.1", 0)),
            ]

        assert in_a_child(attempt).returned == [DENIED, DENIED]


@pytest.mark.skipif(landlock.version() < 6, reason="this kernel's landlock has no scopes")
def test_signals_and_abstract_sockets_stay_inside(library: Path, box: Path) -> None:
    name = f"\0labs-test-{os.getpid()}"
    with socket.socket(socket.AF_UNIX) as listener, socket.socket(socket.AF_UNIX) as visitor:
        listener.bind(name)
        listener.listen()

        def attempt() -> list[str]:
            restricted(library, box)
            return [outcome_of(visitor.connect, name), outcome_of(os.kill, os.getppid(), 0)]

        assert in_a_child(attempt).returned == ["Operation not permitted"] * 2


def test_rules_can_only_be_added_to(library: Path, box: Path) -> None:
    def attempt() -> str:
        restricted(library, box)
        landlock.restrict(["/"], ["/"])
        return outcome_of(Path("/etc/hostname").read_text)

    assert in_a_child(attempt).returned == DENIED
