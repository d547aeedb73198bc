"""Confine the current process for good: the layers, in the one order that works. README.md says what each stops."""

from __future__ import annotations

import os
import threading
from dataclasses import dataclass
from typing import Literal

from executor_worker.sandbox import folders, landlock, privileges, sealed_root, seccomp
from executor_worker.sandbox.limits import apply_standing_limits

Isolation = Literal["namespaces", "processes", "none"]

FIRST_USER = 64_100  # Seat 0's. Nobody else has these numbers, least of all `nobody`, whom everybody uses.
LAST_USER = 64_299
THREAD_STACK_BYTES = 2 << 20  # Of the memory a program may use; the default of 8 MiB would be four times as dear.
_DEVICES = ("/dev/null", "/dev/zero", "/dev/random", "/dev/urandom")


@dataclass(frozen=True)
class Confinement:
    """How the programs of one runner are confined."""

    isolation: Isolation
    has_own_users: bool  # Each seat is a user of its own; else all are the runner's user.
    boxes: str  # Where boxes are made when they cannot be mounted.
    readable: tuple[str, ...]

    def user_of(self, seat: int) -> int:
        if self.has_own_users:
            return FIRST_USER + seat
        # In a user namespace of its own, everybody's user can have the name we like.
        return FIRST_USER if self.isolation == "namespaces" else os.geteuid()

    def folder_of(self, seat: int) -> str:
        return sealed_root.BOX if self.isolation == "namespaces" else folders.folder_of(self.boxes, seat)


def confine(how: Confinement, seat: int) -> None:
    """Make this process what a student's program may be. Its current folder is then its box, empty.

    Raises OSError when a layer cannot be put on; the process must end then.
    """
    os.setsid()
    os.umask(0o077)
    threading.stack_size(THREAD_STACK_BYTES)
    user = how.user_of(seat)
    if how.isolation == "namespaces":
        sealed_root.mount_box(user)
    apply_standing_limits(how.has_own_users)
    if how.isolation != "none":
        privileges.give_up_everything(user if how.has_own_users else None)
    privileges.die_with_parent()  # After the change of user, which the kernel takes for a reason to forget this.
    if how.isolation != "namespaces":
        folders.make_empty(how.folder_of(seat))
    os.chdir(how.folder_of(seat))
    if how.isolation != "none":
        _landlock(how, how.folder_of(seat))
        seccomp.install(os.getpid())  # Last: it refuses most of what was called above.


def _landlock(how: Confinement, box: str) -> None:
    if how.isolation == "namespaces":
        if landlock.version():  # The sealed root alone holds what may be read; this adds network and signals.
            landlock.restrict(readable=("/",), writable=(box, "/dev/null"))
        return
    landlock.restrict(readable=(*how.readable, *_DEVICES), writable=(box, "/dev/null"))
