"""The filter as a table of numbers: run here by a small machine of our own, so that both processors are checked."""

import errno
import re
import socket
import struct
from pathlib import Path

import pytest

from executor_worker.sandbox import policy, seccomp
from executor_worker.sandbox.syscalls import TABLES

OWN_PID = 4711
MACHINES = ("x86_64", "aarch64")
ARCHITECTURES = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}
KILL, ALLOW, FAIL = 0x80000000, 0x7FFF0000, 0x00050000

CLONE_THREAD_FLAGS = 0x003D0F00  # What the C library passes for a new thread.
CLONE_NEWUSER, CLONE_NEWTIME, SIGCHLD = 0x10000000, 0x80, 17


def answer(machine: str, number: int, *arguments: int, architecture: int | None = None) -> int:
    """Run the filter over one call, as the kernel would."""
    if architecture is None:
        architecture = ARCHITECTURES[machine]
    data = struct.pack("<iIQ6Q", number, architecture, 0, *arguments, *[0] * (6 - len(arguments)))
    program = seccomp.assemble(OWN_PID, machine)
    accumulator = place = 0
    while True:
        code, if_true, if_false, value = program[place]
        place += 1
        match code:
            case 0x20:
                (accumulator,) = struct.unpack_from("<I", data, value)
            case 0x54:
                accumulator &= value
            case 0x15:
                place += if_true if accumulator == value else if_false
            case 0x06:
                return value
            case _:
                raise AssertionError(f"an instruction nobody meant: {code:#x}")


def call(machine: str, name: str, *arguments: int) -> int:
    return answer(machine, TABLES[machine][name], *arguments)


@pytest.mark.parametrize("machine", MACHINES)
def test_every_allowed_call_is_allowed(machine: str) -> None:
    for name in policy.ALLOWED:
        if name in TABLES[machine]:
            assert call(machine, name, 1, 2, 3) == ALLOW, name


@pytest.mark.parametrize("machine", MACHINES)
def test_every_refused_call_says_so(machine: str) -> None:
    for name in policy.REFUSED:
        if name in TABLES[machine]:
            assert call(machine, name) == FAIL | errno.EPERM, name


@pytest.mark.parametrize("machine", MACHINES)
def test_a_call_on_no_list_does_not_exist(machine: str) -> None:
    known = set(TABLES[machine].values())

    for number in set(range(1024)) - known:
        assert answer(machine, number) == FAIL | errno.ENOSYS, number
    assert answer(machine, 0x40000000 + 57) == FAIL | errno.ENOSYS  # x32: the same calls by other numbers.


@pytest.mark.parametrize("machine", MACHINES)
def test_another_mode_of_the_processor_is_fatal(machine: str) -> None:
    assert answer(machine, 20, architecture=0x40000003) == KILL


def test_no_call_is_on_two_lists() -> None:
    lists = (policy.ALLOWED, policy.REFUSED, tuple(policy.EXAMINED))

    names = [name for each in lists for name in each]

    assert len(names) == len(set(names))


TABLE_OF_ARGUMENTS = [
    ("clone", (CLONE_THREAD_FLAGS,), ALLOW),
    ("clone", (SIGCHLD,), FAIL | errno.EPERM),  # fork
    ("clone", (0x4100 | SIGCHLD,), FAIL | errno.EPERM),  # vfork
    ("clone", (CLONE_THREAD_FLAGS | CLONE_NEWUSER,), FAIL | errno.EPERM),
    ("clone", (CLONE_THREAD_FLAGS | CLONE_NEWTIME,), FAIL | errno.EPERM),
    ("clone3", (CLONE_THREAD_FLAGS,), FAIL | errno.ENOSYS),
    ("kill", (OWN_PID, 9), ALLOW),
    ("kill", (1, 9), FAIL | errno.EPERM),
    ("kill", (2**64 - 1, 9), FAIL | errno.EPERM),  # -1: everybody
    ("kill", (0, 9), FAIL | errno.EPERM),
    ("tgkill", (OWN_PID, 4712, 10), ALLOW),
    ("tgkill", (1, 1, 9), FAIL | errno.EPERM),
    ("tkill", (OWN_PID, 9), FAIL | errno.EPERM),
    ("prlimit64", (0, 7), ALLOW),
    ("prlimit64", (1, 7), FAIL | errno.EPERM),
    ("socketpair", (socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC), ALLOW),
    ("socketpair", (socket.AF_UNIX, socket.SOCK_DGRAM), FAIL | errno.EPERM),
    ("socketpair", (socket.AF_UNIX, socket.SOCK_SEQPACKET), FAIL | errno.EPERM),
    ("socketpair", (16, socket.SOCK_STREAM), FAIL | errno.EPERM),
    ("fcntl", (3, 6), ALLOW),  # SETLK, for SQLite
    ("fcntl", (3, 5), FAIL | errno.EPERM),  # GETLK
    ("fcntl", (3, 37), FAIL | errno.EPERM),  # OFD_SETLK
    ("fcntl", (3, 1031), FAIL | errno.EPERM),  # SETPIPE_SZ
    ("fcntl", (3, 1024), FAIL | errno.EPERM),  # SETLEASE
    ("ioctl", (1, 0x5401), ALLOW),  # isatty
    ("ioctl", (1, 0x5412), FAIL | errno.ENOTTY),  # TIOCSTI
    ("ioctl", (1, 0x541C), FAIL | errno.ENOTTY),  # TIOCLINUX
    ("prctl", (15,), ALLOW),  # SET_NAME
    ("prctl", (4, 1), FAIL | errno.EPERM),  # SET_DUMPABLE
    ("prctl", (1, 0), FAIL | errno.EPERM),  # SET_PDEATHSIG
    ("listxattr", (), FAIL | errno.ENOTSUP),
]


@pytest.mark.parametrize("machine", MACHINES)
@pytest.mark.parametrize(("name", "arguments", "expected"), TABLE_OF_ARGUMENTS)
def test_arguments_decide(machine: str, name: str, arguments: tuple[int, ...], expected: int) -> None:
    assert call(machine, name, *arguments) == expected


def test_the_high_half_of_an_argument_makes_no_difference() -> None:
    """The kernel does not look at it for these calls either, so it must not open a way round."""
    assert call("x86_64", "kill", 2**32 + OWN_PID, 9) == ALLOW
    assert call("x86_64", "clone", 2**32 + SIGCHLD) == FAIL | errno.EPERM


HEADERS = Path("/usr/include/x86_64-linux-gnu/asm/unistd_64.h")


@pytest.mark.skipif(not HEADERS.exists(), reason="the kernel's headers are not installed")
def test_the_numbers_are_the_kernels() -> None:
    kernels = dict(re.findall(r"#define __NR_(\w+) (\d+)", HEADERS.read_text()))

    for name, number in TABLES["x86_64"].items():
        if name in kernels:  # Headers of an older system know fewer.
            assert number == int(kernels[name]), name
