"""Control groups, where we may make them: the memory of a program as the kernel charges it, and a hard line.

Version 1 and 2 of the interface. Never required: without them rusage tells the memory, and rlimits hold the line.
"""

from __future__ import annotations

import contextlib
import os
from dataclasses import dataclass
from pathlib import Path

PREFIX = "labs-runner-"
MOUNTS = Path("/sys/fs/cgroup")
MOST_THREADS = 64


@dataclass(frozen=True)
class Files:
    """The names that differ between the two versions."""

    limit: str
    usage: str
    peak: str
    events: str


_VERSION_1 = Files("memory.limit_in_bytes", "memory.usage_in_bytes", "memory.max_usage_in_bytes", "memory.oom_control")
_VERSION_2 = Files("memory.max", "memory.current", "memory.peak", "memory.events")


class MemoryGroup:
    """A group that counts memory, charged from the moment a process is admitted."""

    def __init__(self, folder: Path, files: Files, unlimited: str) -> None:
        self._folder = folder
        self._files = files
        self._unlimited = unlimited
        self._at_begin = 0
        self._kills_at_begin = 0
        folder.mkdir(exist_ok=True)

    def open_entrance(self) -> int:
        """A descriptor: whoever writes `0` to it has its memory charged here from then on, with no limit yet.

        For the process itself to do. The kernel takes its time over it, some 15 ms, and we have others to serve.
        """
        self._write(self._files.limit, self._unlimited)
        return os.open(self._folder / "cgroup.procs", os.O_WRONLY | os.O_CLOEXEC)

    def begin_run(self, most_bytes: int) -> None:
        """Allow this much on top of what is in use now, and forget what was used before."""
        with contextlib.suppress(OSError):  # Version 2 before Linux 6.12 cannot forget; see peak_bytes().
            self._write(self._files.peak, "0")
        self._at_begin = int(self._read(self._files.usage))
        self._kills_at_begin = self._kills()
        self._write(self._files.limit, str(self._at_begin + most_bytes))

    def peak_bytes(self) -> int:
        """The most that was used since begin_run(), above what was in use then."""
        return max(0, int(self._read(self._files.peak)) - self._at_begin)

    def was_out_of_memory(self) -> bool:
        return self._kills() > self._kills_at_begin

    def _kills(self) -> int:
        for line in self._read(self._files.events).splitlines():
            name, _, count = line.partition(" ")
            if name == "oom_kill":
                return int(count)
        return 0

    def _write(self, name: str, value: str) -> None:
        descriptor = os.open(self._folder / name, os.O_WRONLY | os.O_CLOEXEC)
        try:
            os.write(descriptor, value.encode())
        finally:
            os.close(descriptor)

    def _read(self, name: str) -> str:
        return (self._folder / name).read_text()


class Groups:
    """All groups of one runner, in a group named after it, below the one it was started in."""

    def __init__(self, version: str, own: Path, owner: int) -> None:
        self.version = version
        self._own = own
        self._folder = own / f"{PREFIX}{owner}"
        self._folder.mkdir(exist_ok=True)
        if version == "v2":
            _hand_down_controllers(own, self._folder, owner)

    def group(self, seat: int) -> MemoryGroup:
        folder = self._folder / f"seat-{seat}"
        if self.version == "v1":
            return MemoryGroup(folder, _VERSION_1, "-1")
        group = MemoryGroup(folder, _VERSION_2, "max")
        (folder / "memory.swap.max").write_text("0")
        (folder / "pids.max").write_text(str(MOST_THREADS))
        return group

    def remove(self) -> None:
        _remove_tree(self._folder)

    def remove_leftovers(self) -> None:
        """Remove the groups of runners that were killed before they could do it themselves."""
        remove_leftovers(self._own)


def _hand_down_controllers(own: Path, folder: Path, owner: int) -> None:
    """Version 2 gives controllers only to the children of a group without processes: so we move out of it.

    Fails where others live in the same group; it has to be the runner's own (systemd: Delegate=yes).
    """
    leaf = folder / "supervisor"
    leaf.mkdir(exist_ok=True)
    (leaf / "cgroup.procs").write_text(str(owner))
    for group in (own, folder):
        (group / "cgroup.subtree_control").write_text("+memory +pids")


def open_groups(owner: int) -> Groups | None:
    """Groups named after `owner`, this process; None where the system does not let us make any."""
    for version, parent in (("v2", _own_folder(MOUNTS, "")), ("v1", _own_folder(MOUNTS / "memory", "memory"))):
        if parent is None:
            continue
        remove_leftovers(parent)
        groups = None
        try:
            groups = Groups(version, parent, owner)
            first = groups.group(0)
            first.begin_run(1 << 30)
            first.peak_bytes()
        except OSError:
            if groups is not None:
                groups.remove()
            continue
        return groups
    return None


def remove_leftovers(parent: Path) -> None:
    for folder in parent.glob(f"{PREFIX}*"):
        owner = folder.name.removeprefix(PREFIX)
        if not owner.isdigit() or not Path("/proc", owner).exists():
            _remove_tree(folder)


def _remove_tree(folder: Path) -> None:
    for group in (*folder.glob("*/"), folder):
        with contextlib.suppress(OSError):  # Still occupied, or gone already.
            group.rmdir()


def _own_folder(mount: Path, controller: str) -> Path | None:
    """Where this process's own group is mounted. The controller of version 2 has no name."""
    if controller == "" and "memory" not in _read_or_empty(mount / "cgroup.controllers").split():
        return None
    for line in _read_or_empty(Path("/proc/self/cgroup")).splitlines():
        _, controllers, path = line.split(":", 2)
        if controller in controllers.split(","):
            folder = mount / path.lstrip("/")
            # In a container the path may be that of the host, and the mount already our own group.
            return folder if folder.is_dir() else mount if mount.is_dir() else None
    return None


def _read_or_empty(path: Path) -> str:
    try:
        return path.read_text()
    except OSError:
        return ""
