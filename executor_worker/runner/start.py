"""Find out how programs can be confined on this system, then supervise. What cannot be made safe does not start."""

from __future__ import annotations

import hashlib
import os
import tempfile
from argparse import Namespace
from pathlib import Path

from executor_worker.runner import log
from executor_worker.runner.door import Door, Occupied
from executor_worker.runner.supervisor import UNSAFE, Supervisor
from executor_worker.sandbox import cgroup, folders, landlock, library, linux, privileges
from executor_worker.sandbox.box import Confinement

OCCUPIED = 69
_NEEDED_BY_LIBRARIES = ("/etc/ld.so.cache",)


class Unsafe(Exception):
    """This system does not let programs be confined as was asked for."""


def supervise(options: Namespace) -> int:
    """The exit code."""
    try:
        linux.numbers_known()
        privileges.hide_memory()
        linux.prctl(linux.PR_SET_CHILD_SUBREAPER, 1)  # Whoever is left behind is buried by us.
        door = Door(os.path.abspath(options.socket))
        hows = ways_to_confine(options.isolation, options.box_dir or _usual_boxes(door.path))
    except Occupied as error:
        log.event("runner_cannot_start", "CRITICAL", reason=str(error))
        return OCCUPIED
    except (OSError, linux.UnknownMachine, Unsafe) as error:
        log.event("runner_cannot_start", "CRITICAL", reason=str(error))
        return UNSAFE
    return Supervisor(door, options.slots, hows, cgroup.open_groups(os.getpid())).run()


def ways_to_confine(isolation: str, boxes: str) -> list[Confinement]:
    """The ways that were asked for and may work here, the best first. Raises Unsafe when there is none."""
    readable = library.library_folders(never=str(Path(__file__).parents[2]))
    own_users = privileges.can_become_others()
    if isolation == "none":
        return [Confinement("none", False, boxes, readable)]
    ways = []
    if isolation in ("auto", "namespaces"):
        is_root = os.geteuid() == 0
        may_mount = privileges.has_capability(privileges.CAP_SYS_ADMIN)
        if not is_root or (may_mount and own_users):
            # An ordinary user makes a user namespace, and in it there is only that user.
            ways.append(Confinement("namespaces", is_root, boxes, readable))
    if isolation in ("auto", "processes"):
        why_not = _why_no_processes(own_users, readable)
        if why_not is None:
            kept = (*readable, *_NEEDED_BY_LIBRARIES, os.path.join(boxes, folders.CONFIGURATION))
            ways.append(Confinement("processes", own_users, boxes, kept))
        elif not ways:
            raise Unsafe(why_not)
    if not ways:
        raise Unsafe("namespaces need an ordinary user, or root with CAP_SYS_ADMIN, CAP_SETUID and CAP_SETGID")
    return ways


def _why_no_processes(own_users: bool, readable: tuple[str, ...]) -> str | None:
    if not landlock.version():
        return "without namespaces files are guarded by landlock, and this kernel has none"
    if not own_users:
        if os.geteuid() == 0:
            return "a program would be root: give root CAP_SETUID and CAP_SETGID, or start the runner as another user"
        return None
    if (closed := library.first_closed_to_others(readable)) is not None:
        return (
            f"each program is a user of its own, and {closed} is closed to others, so none could read its library: "
            "put the project and its environments where everybody may read, or start the runner as an ordinary user"
        )
    return None


def _usual_boxes(path: str) -> str:
    """The same at each start, so that what a killed runner left is found and cleared."""
    name = hashlib.sha256(os.fsencode(path)).hexdigest()[:12]
    return os.path.join(tempfile.gettempdir(), f"labs-runner-{os.geteuid()}-{name}")
