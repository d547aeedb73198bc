"""The system calls Python has no name for, through the C library. Each failure is an OSError that names the call.

Nothing here decides anything; the other files of this folder say which calls to make, and why.
"""

from __future__ import annotations

import ctypes
import os
import platform

MACHINE = platform.machine()

# Namespaces (unshare, setns).
CLONE_NEWNS = 0x0002_0000
CLONE_NEWCGROUP = 0x0200_0000
CLONE_NEWUTS = 0x0400_0000
CLONE_NEWIPC = 0x0800_0000
CLONE_NEWUSER = 0x1000_0000
CLONE_NEWPID = 0x2000_0000
CLONE_NEWNET = 0x4000_0000

# Mounts.
MS_NOSUID = 0x2
MS_NODEV = 0x4
MS_NOEXEC = 0x8
MS_BIND = 0x1000
MS_REC = 0x4000
MS_PRIVATE = 0x4_0000
MNT_DETACH = 0x2
MOUNT_ATTR_RDONLY = 0x1
MOUNT_ATTR_NOSUID = 0x2
MOUNT_ATTR_NODEV = 0x4
MOUNT_ATTR_NOEXEC = 0x8
_AT_FDCWD = -100
_AT_RECURSIVE = 0x8000

# prctl.
PR_SET_PDEATHSIG = 1
PR_SET_DUMPABLE = 4
PR_SET_NAME = 15
PR_SET_SECCOMP = 22
PR_CAPBSET_READ = 23
PR_CAPBSET_DROP = 24
PR_SET_CHILD_SUBREAPER = 36
PR_SET_NO_NEW_PRIVS = 38
PR_CAP_AMBIENT = 47
PR_CAP_AMBIENT_CLEAR_ALL = 4
SECCOMP_MODE_FILTER = 2

# Calls without a wrapper in every C library. From 424 on the numbers are the same on every machine.
_NUMBERS = {
    "x86_64": {"pivot_root": 155, "capset": 126, "capget": 125},
    "aarch64": {"pivot_root": 41, "capset": 91, "capget": 90},
}
_SHARED_NUMBERS = {
    "mount_setattr": 442,
    "landlock_create_ruleset": 444,
    "landlock_add_rule": 445,
    "landlock_restrict_self": 446,
}

_libc = ctypes.CDLL(None, use_errno=True)
_libc.syscall.restype = ctypes.c_long


class UnknownMachine(Exception):
    """A processor whose system call numbers nobody has written down here; nothing may run on it."""


def numbers_known() -> None:
    """Raise UnknownMachine where a filter by system call number would filter something else."""
    if MACHINE not in _NUMBERS:
        raise UnknownMachine(f"no system call table for {MACHINE}; known: {', '.join(_NUMBERS)}")


def prctl(option: int, value: int | ctypes.Structure = 0, third: int | ctypes.Structure = 0) -> int:
    arguments = [_as_argument(argument) for argument in (value, third, 0, 0)]
    return _checked("prctl", _libc.prctl(option, *arguments), f"option {option}")


def unshare(flags: int) -> None:
    _checked("unshare", _libc.unshare(flags), hex(flags))


def setns(descriptor: int, kind: int) -> None:
    _checked("setns", _libc.setns(descriptor, kind), hex(kind))


def mount(source: str, target: str, kind: str | None, flags: int, options: str = "") -> None:
    result = _libc.mount(
        os.fsencode(source),
        os.fsencode(target),
        kind.encode() if kind else None,
        ctypes.c_ulong(flags),
        options.encode() or None,
    )
    _checked("mount", result, target)


def unmount(target: str) -> None:
    """Take a mount out of sight at once; what is still open in it lives until it is closed."""
    _checked("umount2", _libc.umount2(os.fsencode(target), MNT_DETACH), target)


class _MountAttributes(ctypes.Structure):
    _fields_ = (
        ("set", ctypes.c_uint64),
        ("clear", ctypes.c_uint64),
        ("propagation", ctypes.c_uint64),
        ("user_namespace", ctypes.c_uint64),
    )


def set_mount_attributes(target: str, attributes: int) -> None:
    """Set attributes on a mount and on everything mounted below it (a plain remount reaches only the top)."""
    wanted = _MountAttributes(set=attributes)
    syscall("mount_setattr", _AT_FDCWD, os.fsencode(target), _AT_RECURSIVE, ctypes.byref(wanted), ctypes.sizeof(wanted))


def pivot_root_here() -> None:
    """Make the current folder the root, and drop the old one out of reach."""
    syscall("pivot_root", b".", b".")
    unmount(".")  # The old root lies on top of the new one now; this is what `.` finds.
    os.chdir("/")


class _CapabilityHeader(ctypes.Structure):
    _fields_ = (("version", ctypes.c_uint32), ("pid", ctypes.c_int))


class _CapabilityData(ctypes.Structure):
    _fields_ = (("effective", ctypes.c_uint32), ("permitted", ctypes.c_uint32), ("inheritable", ctypes.c_uint32))


_CAPABILITY_VERSION_3 = 0x2008_0522


def effective_capabilities() -> int:
    header, data = _CapabilityHeader(_CAPABILITY_VERSION_3, 0), (_CapabilityData * 2)()
    syscall("capget", ctypes.byref(header), ctypes.byref(data))
    return int(data[0].effective | data[1].effective << 32)


def set_capabilities(mask: int) -> None:
    """Keep these capabilities as effective and permitted; none is inheritable."""
    header, data = _CapabilityHeader(_CAPABILITY_VERSION_3, 0), (_CapabilityData * 2)()
    for half, bits in enumerate((mask & 0xFFFF_FFFF, mask >> 32)):
        data[half].effective = data[half].permitted = bits
    syscall("capset", ctypes.byref(header), ctypes.byref(data))


def syscall(name: str, *arguments: object) -> int:
    """Make a call by its number. Raises OSError; UnknownMachine when there is no number for it here."""
    numbers_known()
    number = _SHARED_NUMBERS.get(name) or _NUMBERS[MACHINE][name]
    # The C library's syscall() is variadic: every integer has to be as wide as a register.
    wide = [ctypes.c_long(argument) if isinstance(argument, int) else argument for argument in arguments]
    return _checked(name, _libc.syscall(ctypes.c_long(number), *wide), "")


def _as_argument(argument: int | ctypes.Structure) -> object:
    return ctypes.c_ulong(argument) if isinstance(argument, int) else ctypes.byref(argument)


def _checked(name: str, result: int, about: str) -> int:
    if result == -1:
        number = ctypes.get_errno()
        raise OSError(number, f"{name}({about}): {os.strerror(number)}")
    return result
