"""Landlock: which files a process may open, and that it may not reach the network or processes outside.

The rules are checked by the kernel at open(), whoever the process is; a process can only add to them.
"""

from __future__ import annotations

import ctypes
import os
import stat
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from executor_worker.sandbox import linux

_CREATE_RULESET_VERSION = 1
_RULE_PATH_BENEATH = 1

_READ_FILE, _READ_DIR = 1 << 2, 1 << 3
_WRITE_FILE, _REMOVE_DIR, _REMOVE_FILE, _MAKE_DIR, _MAKE_REG = 1 << 1, 1 << 4, 1 << 5, 1 << 7, 1 << 8
_REFER, _TRUNCATE = 1 << 13, 1 << 14
_READ = _READ_FILE | _READ_DIR
# No devices, sockets, pipes or symbolic links: whoever looks into the box later finds plain files and folders.
_WRITE = _WRITE_FILE | _REMOVE_DIR | _REMOVE_FILE | _MAKE_DIR | _MAKE_REG | _REFER | _TRUNCATE
_MEANT_FOR_FILES = _READ_FILE | _WRITE_FILE | _TRUNCATE

# What each version of the interface added. A right the kernel does not know must not be asked for.
_FILE_RIGHTS_BY_VERSION = {1: (1 << 13) - 1, 2: 1 << 13, 3: 1 << 14, 5: 1 << 15}
_NETWORK_VERSION, _NETWORK_RIGHTS = 4, 0b11  # TCP bind and connect.
_SCOPE_VERSION, _SCOPES = 6, 0b11  # Abstract unix sockets and signals, to processes outside.


class _Ruleset(ctypes.Structure):
    _fields_ = (("files", ctypes.c_uint64), ("network", ctypes.c_uint64), ("scopes", ctypes.c_uint64))


class _PathBeneath(ctypes.Structure):
    _pack_ = 1
    _fields_ = (("rights", ctypes.c_uint64), ("descriptor", ctypes.c_int32))


def version() -> int:
    """The kernel's landlock interface, 0 when there is none."""
    try:
        return linux.syscall("landlock_create_ruleset", None, 0, _CREATE_RULESET_VERSION)
    except OSError:
        return 0


def restrict(readable: Iterable[str], writable: Iterable[str]) -> None:
    """Let this process open these files and folders and no others. For good; needs no_new_privs.

    What does not exist is passed over: lists of library folders name more than one system has.
    """
    known = version()
    files = sum(rights for since, rights in _FILE_RIGHTS_BY_VERSION.items() if known >= since)
    ruleset = _Ruleset(
        files=files,
        network=_NETWORK_RIGHTS if known >= _NETWORK_VERSION else 0,
        scopes=_SCOPES if known >= _SCOPE_VERSION else 0,
    )
    descriptor = linux.syscall("landlock_create_ruleset", ctypes.byref(ruleset), _size_of_ruleset(known), 0)
    with _closing(descriptor):
        for path in readable:
            _allow(descriptor, path, _READ & files)
        for path in writable:
            _allow(descriptor, path, (_READ | _WRITE) & files)
        linux.syscall("landlock_restrict_self", descriptor, 0)


def _size_of_ruleset(known: int) -> int:
    fields = 3 if known >= _SCOPE_VERSION else 2 if known >= _NETWORK_VERSION else 1
    return 8 * fields


def _allow(ruleset: int, path: str, rights: int) -> None:
    try:
        descriptor = os.open(path, os.O_PATH | os.O_CLOEXEC)
    except FileNotFoundError:
        return
    with _closing(descriptor):
        if not stat.S_ISDIR(os.fstat(descriptor).st_mode):
            rights &= _MEANT_FOR_FILES
        rule = _PathBeneath(rights=rights, descriptor=descriptor)
        linux.syscall("landlock_add_rule", ruleset, _RULE_PATH_BENEATH, ctypes.byref(rule), 0)


@contextmanager
def _closing(descriptor: int) -> Iterator[None]:
    try:
        yield
    finally:
        os.close(descriptor)
