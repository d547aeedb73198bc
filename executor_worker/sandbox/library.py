"""Which files of the system a Python program has to read: its own library, shared objects, time zones, fonts.

The same list makes the sealed root (sealed_root.py) and, where there is none, the landlock rules (box.py).
"""

from __future__ import annotations

import os
import stat
import sys
import sysconfig
from pathlib import Path

_DATA = ("/usr/share/zoneinfo", "/usr/share/fonts")
_WHOLE_SYSTEM = ("/", "/usr", "/usr/lib", "/usr/local", "/usr/bin", "/bin", "/sbin", "/etc", "/home", "/root", "/var")


def library_folders(never: str) -> tuple[str, ...]:
    """Real paths of the folders, none inside another.

    `never` is where the caller's own project lies: it is on sys.path for the caller's sake, and with it would come
    the project's state, its databases and its secrets. What lies inside it (an environment) may still be listed.
    """
    wanted = {
        sys.prefix,
        sysconfig.get_path("stdlib"),
        sysconfig.get_path("platstdlib"),
        *sys.path,
        *_shared_object_folders(),
        *_DATA,
    }
    found = {os.path.realpath(path) for path in wanted if Path(path).is_dir()} - {os.path.realpath(never)}
    return without_nested(found)


def without_nested(paths: set[str]) -> tuple[str, ...]:
    kept: list[str] = []
    for path in sorted(paths):
        if not any(path == above or path.startswith(above.rstrip("/") + "/") for above in kept):
            kept.append(path)
    return tuple(kept)


def _shared_object_folders() -> set[str]:
    """Where the system keeps shared objects, and where this process got its own from."""
    multiarch = sysconfig.get_config_var("MULTIARCH")
    folders = {f"/usr/lib/{multiarch}", f"/lib/{multiarch}"} if multiarch else {"/lib", "/usr/lib"}
    folders |= {"/lib64", "/usr/lib64"}
    with open("/proc/self/maps") as maps:
        for line in maps:
            path = line[73:].strip()
            if ".so" in path and path.startswith("/"):
                folders.add(str(Path(path).parent))
    return {folder for folder in folders if os.path.realpath(folder) not in _WHOLE_SYSTEM}


def first_closed_to_others(paths: tuple[str, ...]) -> str | None:
    """The first folder on the way to one of these that a user without rights cannot pass, if there is one."""
    for path in paths:
        for step in (*reversed(list(Path(path).parents)), Path(path)):
            if not step.stat().st_mode & stat.S_IXOTH:
                return str(step)
    return None
