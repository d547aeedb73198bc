"""The filter in the kernel, on a process that then tries things."""

import ctypes
import mmap
import os
import platform
import resource
import signal
import socket
import threading
from typing import Any

import pytest

from executor_worker.sandbox import linux, seccomp
from tests.executor_worker.sandbox.children import in_a_child, outcome_of

libc = ctypes.CDLL(None, use_errno=True)


def filtered() -> None:
    linux.prctl(linux.PR_SET_NO_NEW_PRIVS, 1)
    seccomp.install(os.getpid())


def raw(name: str, *arguments: int) -> None:
    """Below Python, which refuses some things by itself."""
    if getattr(libc, name)(*arguments) == -1:
        raise OSError(ctypes.get_errno(), name)


REFUSED = "Operation not permitted"
ATTEMPTS = [
    (os.fork, (), REFUSED),
    (os.execv, ("/bin/true", ["true"]), REFUSED),
    (os.memfd_create, ("hidden",), REFUSED),
    (socket.socket, (), REFUSED),
    (socket.socket, (socket.AF_UNIX,), REFUSED),
    (socket.socketpair, (socket.AF_UNIX, socket.SOCK_DGRAM), REFUSED),
    (os.kill, (1, 0), REFUSED),
    (os.kill, (-1, 0), REFUSED),
    (os.symlink, ("/etc", "link"), REFUSED),
    (os.mkfifo, ("fifo",), REFUSED),
    (os.link, ("/etc/hostname", "hard"), REFUSED),
    (os.setsid, (), REFUSED),
    (os.sched_setaffinity, (0, {0}), REFUSED),
    (os.pidfd_open, (1,), REFUSED),
    (os.listxattr, ("/",), "Operation not supported"),
    (raw, ("unshare", linux.CLONE_NEWUSER), REFUSED),
    (raw, ("ptrace", 0, 0, 0, 0), REFUSED),
    (raw, ("inotify_init",), REFUSED),
    (raw, ("timerfd_create", 1, 0), "Function not implemented"),
    (raw, ("signalfd", -1, 0, 0), "Function not implemented"),
    (socket.socketpair, (), "done"),
    (os.pipe, (), "done"),
    (os.getrandom, (8,), "done"),
    (signal.setitimer, (signal.ITIMER_REAL, 100.0), "done"),
    (resource.getrlimit, (resource.RLIMIT_CPU,), "done"),
]


@pytest.mark.parametrize(
    ("function", "arguments", "expected"), ATTEMPTS, ids=lambda each: getattr(each, "__name__", "")
)
def test_what_may_be_called(function: Any, arguments: tuple[Any, ...], expected: str) -> None:
    def attempt() -> str:
        filtered()
        return outcome_of(function, *arguments)

    assert in_a_child(attempt).returned == expected


def test_threads_can_be_started_and_waited_for() -> None:
    def attempt() -> int:
        filtered()
        heard: list[int] = []
        thread = threading.Thread(target=heard.append, args=(threading.get_native_id(),))
        thread.start()
        thread.join()
        return len(heard)

    assert in_a_child(attempt).returned == 1


def test_a_program_can_end_itself_by_signal() -> None:
    def attempt() -> None:
        filtered()
        os.kill(os.getpid(), signal.SIGKILL)

    assert in_a_child(attempt).signal == signal.SIGKILL


@pytest.mark.skipif(platform.machine() != "x86_64", reason="there is no 32-bit mode to switch into")
def test_the_32_bit_way_in_is_fatal() -> None:
    code = b"\xb8\x14\x00\x00\x00\xcd\x80\xc3"  # mov eax, 20 (getpid); int 0x80; ret

    def attempt() -> int:
        page = mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
        page.write(code)
        function = ctypes.CFUNCTYPE(ctypes.c_int)(ctypes.addressof(ctypes.c_char.from_buffer(page)))
        filtered()
        return int(function())

    assert in_a_child(attempt).signal == signal.SIGSYS


def test_a_filter_cannot_be_taken_off_or_listened_to() -> None:
    def attempt() -> list[str]:
        filtered()
        return [
            outcome_of(linux.prctl, linux.PR_SET_SECCOMP, 0),
            outcome_of(linux.prctl, linux.PR_SET_NO_NEW_PRIVS, 0),
            outcome_of(raw, "syscall", 317, 1, 8, 0),  # seccomp(SET_MODE_FILTER, NEW_LISTENER)
        ]

    assert in_a_child(attempt).returned == [REFUSED] * 3


def test_an_unknown_machine_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(linux, "MACHINE", "riscv64")

    with pytest.raises(linux.UnknownMachine, match="riscv64"):
        linux.numbers_known()
