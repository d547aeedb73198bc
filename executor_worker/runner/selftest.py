"""The attacks a runner tries on itself before it takes the first job: in a real child, confined like any other.

Each is made below Python, where it can be, so that what refuses it is the kernel. An attack that comes
through returns, and says what it got; one that is stopped raises. The supervisor holds the baits (baits.py).
"""

from __future__ import annotations

import ctypes
import mmap
import os
import resource
import socket
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from executor_worker.sandbox import linux
from executor_worker.sandbox.limits import FILE_BYTES, OPEN_FILES, UNCOUNTED_ADDRESS_BYTES
from executor_worker.sandbox.sealed_root import BOX_BYTES
from executor_worker.sandbox.syscalls import TABLES

STOPPED_BY = (OSError, MemoryError, ValueError, OverflowError)

_libc = ctypes.CDLL(None, use_errno=True)
_SPARE_BYTES = 64 << 20

Bait = dict[str, Any]
Attack = Callable[[Bait], str]


def touch() -> None:
    """Nothing to warm: this program runs once."""


def run(job: dict[str, Any], send: Callable[[dict[str, Any]], None], box_dir: str) -> None:
    """Try every attack of the list; tell after each how it went, so that none can hide by ending the process."""
    bait: Bait = job["bait"]
    for attack in ATTACKS:
        send({"attack": attack.__name__, "came_through": _attempt(attack, bait)})
    if bait["has_mounted_box"]:
        send({"attack": fill_the_box.__name__, "came_through": _attempt(fill_the_box, bait)})
    send({"attack": execute.__name__, "came_through": _attempt(execute, bait)})  # Last: it does not return.


def expected(has_mounted_box: bool) -> set[str]:
    """The names that must have been heard of."""
    return {attack.__name__ for attack in (*ATTACKS, execute, *([fill_the_box] if has_mounted_box else []))}


def _attempt(attack: Attack, bait: Bait) -> str | None:
    try:
        return attack(bait)
    except STOPPED_BY:
        return None


# What belongs to others ---------------------------------------------------------------------------------


def read_a_secret(bait: Bait) -> str:
    with open(bait["secret"]) as secret:
        return f"a file outside the box could be read: {secret.read(20)!r}"


def read_the_project(bait: Bait) -> str:
    with open(bait["project"]) as ours:
        return f"the project could be read, and its state may lie beside it: {ours.read(20)!r}"


def read_an_environment(bait: Bait) -> str:
    with open(f"/proc/{bait['pid']}/environ", "rb") as environment:
        return f"the environment of another process could be read ({len(environment.read())} bytes)"


def write_into_the_library(bait: Bait) -> str:
    with open(Path(sys.prefix, "planted"), "w"):
        return "a file could be planted beside the Python that all programs use"


def signal_another_process(bait: Bait) -> str:
    _checked(_libc.kill(bait["pid"], 0))
    return "the supervisor could be signalled"


def trace_another_process(bait: Bait) -> str:
    _by_number("ptrace", 16, bait["pid"], 0, 0)  # PTRACE_ATTACH
    return "the supervisor could be traced"


# The network --------------------------------------------------------------------------------------------


def make_a_socket(bait: Bait) -> str:
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM):
        return "a network socket could be made"


def connect_to_loopback(bait: Bait) -> str:
    with socket.create_connection(("127.0.0.1", bait["port"]), timeout=0.5):
        return "a service on this machine could be reached"


def connect_to_a_named_socket(bait: Bait) -> str:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        connection.connect(bait["named_socket"])
        return "a unix socket of this machine could be reached"


def send_to_a_named_socket(bait: Bait) -> str:
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
    with ours, theirs:
        ours.sendto(b"hello", bait["named_datagrams"])
        return "a unix socket of this machine could be written to"


def connect_to_an_abstract_socket(bait: Bait) -> str:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        connection.connect(f"\0{bait['abstract_socket']}")
        return "an abstract unix socket of this machine could be reached"


# The kernel ---------------------------------------------------------------------------------------------


def fork(bait: Bait) -> str:
    if _checked(_libc.fork()) == 0:
        _libc._exit(0)
    return "a process could be started"


def execute(bait: Bait) -> str:
    arguments = (ctypes.c_char_p * 2)(b"true", None)
    _checked(_libc.execve(b"/bin/true", arguments, arguments))
    return "a program could be executed"


def become_root(bait: Bait) -> str:
    if os.getuid() == 0:
        return "the program is root"
    _checked(_libc.setuid(0))
    return "the program could become root"


def enter_a_user_namespace(bait: Bait) -> str:
    linux.unshare(linux.CLONE_NEWUSER)
    return "a user namespace could be made, with all its privileges"


def mount(bait: Bait) -> str:
    linux.mount("none", bait["box"], "tmpfs", 0)
    return "a file system could be mounted"


def make_memory_with_a_descriptor(bait: Bait) -> str:
    _by_number("memfd_create", b"hidden", 0)
    return "memory outside of all counts could be made"


def use_the_keyring(bait: Bait) -> str:
    _by_number("keyctl", 0, -3, 1, 0, 0)  # KEYCTL_GET_KEYRING_ID
    return "the kernel's keyring could be used"


def use_io_uring(bait: Bait) -> str:
    _by_number("io_uring_setup", 1, ctypes.create_string_buffer(120))
    return "io_uring could be used, which passes by every filter"


# The limits ---------------------------------------------------------------------------------------------


def take_too_much_memory(bait: Bait) -> str:
    return f"{len(bytearray(bait['memory_bytes'] + _SPARE_BYTES))} bytes of memory could be had"


def share_too_much_memory(bait: Bait) -> str:
    size = bait["memory_bytes"] + UNCOUNTED_ADDRESS_BYTES + _SPARE_BYTES
    with mmap.mmap(-1, size):
        return f"{size} bytes of shared memory could be had"


def write_too_long_a_file(bait: Bait) -> str:
    with open(Path(bait["box"], "long"), "wb", buffering=0) as file:
        block = bytes(1 << 20)
        for _ in range(2 * FILE_BYTES // len(block)):
            if file.write(block) < len(block):
                raise OSError
    return f"a file of {2 * FILE_BYTES} bytes could be written"


def fill_the_box(bait: Bait) -> str:
    for number in range(BOX_BYTES // FILE_BYTES + 1):
        with open(Path(bait["box"], f"full-{number}"), "wb", buffering=0) as file:
            if file.write(bytes(FILE_BYTES)) < FILE_BYTES:
                raise OSError
    return f"more than {BOX_BYTES} bytes could be written into the box"


def open_too_many_files(bait: Bait) -> str:
    opened = []
    try:
        for _ in range(2 * OPEN_FILES):
            opened.append(os.open("/dev/null", os.O_RDONLY))
    finally:
        for descriptor in opened:
            os.close(descriptor)
    return f"{2 * OPEN_FILES} files could be open at once"


def raise_a_limit(bait: Bait) -> str:
    resource.setrlimit(resource.RLIMIT_NOFILE, (4 * OPEN_FILES, 4 * OPEN_FILES))
    return "a limit could be raised"


ATTACKS: tuple[Attack, ...] = (
    read_a_secret,
    read_the_project,
    read_an_environment,
    write_into_the_library,
    signal_another_process,
    trace_another_process,
    make_a_socket,
    connect_to_loopback,
    connect_to_a_named_socket,
    send_to_a_named_socket,
    connect_to_an_abstract_socket,
    fork,
    become_root,
    enter_a_user_namespace,
    mount,
    make_memory_with_a_descriptor,
    use_the_keyring,
    use_io_uring,
    take_too_much_memory,
    share_too_much_memory,
    write_too_long_a_file,
    open_too_many_files,
    raise_a_limit,
)


def _by_number(name: str, *arguments: Any) -> None:
    numbers = [ctypes.c_long(argument) if isinstance(argument, int) else argument for argument in arguments]
    _checked(_libc.syscall(ctypes.c_long(TABLES[linux.MACHINE][name]), *numbers))


def _checked(result: int) -> int:
    if result == -1:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return result
