"""Find out how programs can be confined on this system, then supervise. What cannot be made safe does not start."""

from __future__ import annotations

import hashlib
import os
import sys
import tempfile
from argparse import Namespace
from pathlib import Path

from executor_worker.runner import log
from executor_worker.runner.door import Door, Occupied
from executor_worker.runner.supervisor import UNSAFE, Supervisor
from executor_worker.sandbox import cgroup, folders, landlock, library, linux, privileges
from executor_worker.sandbox.box import FIRST_USER, LAST_USER, Confinement

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
        door = Door(str(Path(options.socket).absolute()))
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
    own_users = privileges.can_become(range(FIRST_USER, LAST_USER + 1))
    if isolation == "none":
        return [Confinement("none", False, boxes, readable)]
    ways = []
    if isolation in ("auto", "namespaces"):
        if own_users and privileges.has_capability(privileges.CAP_SYS_ADMIN):
            ways.append(Confinement("namespaces", True, boxes, readable))
        elif not privileges.is_root_of_the_system():
            ways.append(Confinement("namespaces", False, boxes, readable))
    if isolation in ("auto", "processes"):
        why_not = _why_no_processes(own_users, readable)
        if why_not is None:
            kept = (*readable, *_NEEDED_BY_LIBRARIES, str(Path(boxes, folders.CONFIGURATION)))
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
    if (closed := library.first_closed_to_others((sys.prefix, *readable))) is not None:
        return (
            f"each program is a user of its own, and {closed} is closed to others, so none could read its library: "
            "put the project and its environments where everybody may read, or start the runner as an ordinary user"
        )
    return None


def _usual_boxes(path: str) -> str:
    """The same at each start, so that what a killed runner left is found and cleared."""
    name = hashlib.sha256(os.fsencode(path)).hexdigest()[:12]
    return str(_usual_folder(path) / f"labs-runner-{os.geteuid()}-{name}")


def _usual_folder(path: str) -> Path:
    try:
        return Path(tempfile.gettempdir())
    except FileNotFoundError:  # A container whose files are all read-only.
        return Path(path).parent
