"""Who a process is and what it may still do: users, capabilities, descriptors, limits of what it can become."""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Iterator

from executor_worker.sandbox import linux

CAP_CHOWN, CAP_KILL, CAP_SETGID, CAP_SETUID, CAP_SETPCAP, CAP_SYS_ADMIN = 0, 5, 6, 7, 8, 21


def has_capability(number: int) -> bool:
    return bool(linux.effective_capabilities() >> number & 1)


def can_become(users: range) -> bool:
    """Whether each program can be given one of these users for its own."""
    may = os.geteuid() == 0 and has_capability(CAP_SETUID) and has_capability(CAP_SETGID)
    return may and any(users.start >= first and users.stop <= first + count for first, count in _known_users())


def is_root_of_the_system() -> bool:
    """Not only of a container without privileges, where root is some ordinary user outside."""
    return os.geteuid() == 0 and _known_users() == [(0, 2**32 - 1)]


def _known_users() -> list[tuple[int, int]]:
    """The users that exist in our user namespace, as ranges: first, and how many."""
    with open("/proc/self/uid_map") as ranges:
        return [(int(first), int(count)) for first, _, count in map(str.split, ranges)]


def keep_capabilities(*numbers: int) -> None:
    """Give up every other capability, for this process and all it forks."""
    linux.set_capabilities(linux.effective_capabilities() & sum(1 << number for number in numbers))


def give_up_everything(user: int | None) -> None:
    """Become `user` (None: stay oneself), without groups or capabilities, now or by any later exec. No way back."""
    _empty_bounding_set()
    if user is not None:
        os.setgroups([])
        os.setresgid(user, user, user)
        os.setresuid(user, user, user)
    linux.prctl(linux.PR_CAP_AMBIENT, linux.PR_CAP_AMBIENT_CLEAR_ALL)
    linux.set_capabilities(0)
    linux.prctl(linux.PR_SET_NO_NEW_PRIVS, 1)
    hide_memory()
    os.umask(0o077)


def _empty_bounding_set() -> None:
    """Without CAP_SETPCAP the set stays: no_new_privs then makes it useless, since no exec can gain from it."""
    if not has_capability(CAP_SETPCAP):
        return
    for number in range(64):
        with contextlib.suppress(OSError):  # EINVAL: this kernel has fewer.
            linux.prctl(linux.PR_CAPBSET_DROP, number)


def hide_memory() -> None:
    """Others of the same user can neither trace this process nor read its environment or memory; no core dump."""
    linux.prctl(linux.PR_SET_DUMPABLE, 0)


def die_with_parent() -> None:
    """Be killed when the process that is the parent now ends. Forgotten by the kernel when the user changes."""
    linux.prctl(linux.PR_SET_PDEATHSIG, signal.SIGKILL)


def close_all_but(*kept: int) -> None:
    """Close every other descriptor from 3 on. What stays in Python's memory of them leads nowhere."""
    begin = 3
    for descriptor in sorted(kept):
        os.closerange(begin, descriptor)
        begin = descriptor + 1
    os.closerange(begin, os.sysconf("SC_OPEN_MAX"))


@contextlib.contextmanager
def acting_as(user: int) -> Iterator[None]:
    """Touch a program's files, or signal it, with its own rights and no others; then be oneself again.

    The real and saved users stay ours, so the program cannot signal us meanwhile.
    """
    if user == os.geteuid():
        yield
        return
    before = os.geteuid()
    os.seteuid(user)
    try:
        yield
    finally:
        os.seteuid(before)
