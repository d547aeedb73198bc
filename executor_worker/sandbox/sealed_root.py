"""Namespaces: a process that sees only a root of our making, no network, and no other process.

The warm process enters them once and seals its root; each program it forks adds a process namespace and a
box of its own. Works for root, and for an ordinary user where the system allows user namespaces.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable
from pathlib import Path

from executor_worker.sandbox import linux, privileges

BOX = "/box"
BOX_BYTES = 16 << 20
BOX_FILES = 2048

# Covered by the new root while that is being built, in our own mount namespace: nothing we bind comes from there.
_BUILDING_SITE = "/proc"
_DEVICES = ("/dev/null", "/dev/zero", "/dev/random", "/dev/urandom")
_ROOT_OPTIONS = "mode=755,size=1m,nr_inodes=4096"
_CAPABILITIES = (
    privileges.CAP_SYS_ADMIN,
    privileges.CAP_SETUID,
    privileges.CAP_SETGID,
    privileges.CAP_SETPCAP,
)


def enter_namespaces(user: int | None) -> None:
    """Leave the system's namespaces, and go on as the first process of new ones.

    In a user namespace, as `user`, unless that is None. The process that calls this ends: its child goes on.
    Raises OSError where the system does not allow it.
    """
    flags = linux.CLONE_NEWNS | linux.CLONE_NEWPID | linux.CLONE_NEWIPC | linux.CLONE_NEWUTS | linux.CLONE_NEWNET
    if user is None:
        linux.unshare(flags)
    else:
        outside = os.geteuid(), os.getegid()
        linux.unshare(flags | linux.CLONE_NEWUSER)
        _map_only(outside, user)
    if os.fork():
        os._exit(0)


def _map_only(outside: tuple[int, int], inside: int) -> None:
    """In the new user namespace there is one user, and it is not root."""
    Path("/proc/self/setgroups").write_text("deny")
    Path("/proc/self/uid_map").write_text(f"{inside} {outside[0]} 1")
    Path("/proc/self/gid_map").write_text(f"{inside} {outside[1]} 1")


def seal(readable: Iterable[str], users: Iterable[int]) -> None:
    """Replace the root: these folders, read-only, and what a C library looks for. Nothing else exists after it."""
    linux.mount("none", "/", None, linux.MS_REC | linux.MS_PRIVATE)
    linux.mount("root", _BUILDING_SITE, "tmpfs", linux.MS_NOSUID | linux.MS_NODEV, _ROOT_OPTIONS)
    root = Path(_BUILDING_SITE)
    _furnish(root, users)
    for folder in readable:
        _bind(folder, root)
    _add_links(root)
    linux.set_mount_attributes(
        _BUILDING_SITE, linux.MOUNT_ATTR_RDONLY | linux.MOUNT_ATTR_NOSUID | linux.MOUNT_ATTR_NODEV
    )
    for device in _DEVICES:  # After the line above, which makes devices useless.
        linux.mount(device, f"{root}{device}", None, linux.MS_BIND)
    os.chdir(root)
    linux.pivot_root_here()
    linux.mount("box", BOX, "tmpfs", linux.MS_NOSUID | linux.MS_NODEV | linux.MS_NOEXEC, "mode=700,size=64m")
    privileges.keep_capabilities(*_CAPABILITIES)


def cover_from_sight(folder: str) -> None:
    """Take a folder bound by seal() away again."""
    linux.unmount(folder)


def fork_into_own_process_namespace(home: int) -> int:
    """os.fork(), but the child is the first process of a namespace. `home` is our own, open: /proc/self/ns/pid."""
    linux.unshare(linux.CLONE_NEWPID)
    try:
        pid = os.fork()
    except BaseException:
        linux.setns(home, linux.CLONE_NEWPID)
        raise
    if pid:
        linux.setns(home, linux.CLONE_NEWPID)
    return pid


def mount_box(user: int) -> None:
    """Give this process alone an empty box, small in bytes and in files."""
    linux.unshare(linux.CLONE_NEWNS)
    linux.mount(
        "box",
        BOX,
        "tmpfs",
        linux.MS_NOSUID | linux.MS_NODEV | linux.MS_NOEXEC,
        f"mode=700,uid={user},gid={user},size={BOX_BYTES},nr_inodes={BOX_FILES}",
    )


def _furnish(root: Path, users: Iterable[int]) -> None:
    for folder in ("dev", "etc", "box", "proc", "var", "config"):
        (root / folder).mkdir()
    for device in _DEVICES:
        (root / device[1:]).touch()
    etc = root / "etc"
    (etc / "passwd").write_text("".join(f"student:x:{user}:{user}:student:{BOX}:/nowhere\n" for user in users))
    (etc / "group").write_text("".join(f"student:x:{user}:\n" for user in users))
    (etc / "nsswitch.conf").write_text("passwd: files\ngroup: files\nhosts: files\n")
    cache = Path("/etc/ld.so.cache")
    if cache.is_file():  # Where libraries lie that are not in the usual folders.
        (etc / "ld.so.cache").write_bytes(cache.read_bytes())


def _add_links(root: Path) -> None:
    """Other names of what is there: /lib where all is kept in /usr, Python's own, and /tmp, which is the box."""
    names = ("/lib", "/lib64", sys.prefix)
    links = {name: os.path.realpath(name) for name in names if Path(name).resolve() != Path(name)}
    links |= {"/tmp": BOX, "/var/tmp": BOX}  # noqa: S108 - whoever uses these means a place of one's own.
    for name, target in links.items():
        link = root / name[1:]
        link.parent.mkdir(parents=True, exist_ok=True)
        if not link.exists():  # The project may live below /tmp.
            link.symlink_to(target)


def _bind(folder: str, root: Path) -> None:
    target = root / folder[1:]
    target.mkdir(parents=True, exist_ok=True)
    linux.mount(folder, str(target), None, linux.MS_BIND | linux.MS_REC)
