"""Boxes that are folders, where none can be mounted. Whatever touches one has the rights of the program it is for.

Never those of the runner: a file name is the student's, and could be anything.
"""

from __future__ import annotations

import os
import secrets
import stat
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from executor_worker.sandbox.privileges import acting_as

CONFIGURATION = "config"  # Empty, for everybody to read: where libraries look for a user's settings.
WARM = "warm"  # The warm process's own.
DEEPEST_FOLDER = 50  # Each level keeps a descriptor of the one who looks.


def folder_of(boxes: str, seat: int) -> str:
    return str(Path(boxes, f"seat-{seat}"))


def prepare(boxes: str, users: Iterable[int]) -> None:
    """Make the folder of all boxes, and one box for each user, in the order of the seats.

    Needs no right to give files away: each box is made by its own user. Raises PermissionError when somebody
    else has put something there.
    """
    _make(boxes, 0o700)
    for name, mode in ((CONFIGURATION, 0o755), (WARM, 0o700)):
        _make(str(Path(boxes, name)), mode)
    Path(boxes).chmod(0o1733)
    try:
        for seat, user in enumerate(users):
            with acting_as(user):
                _make(folder_of(boxes, seat), 0o700)
    finally:
        Path(boxes).chmod(0o711)


def remove(boxes: str, users: Iterable[int]) -> None:
    """What prepare() made, and what programs left in it. What cannot be removed stays for the next start."""
    with suppress(OSError):
        for seat, user in enumerate(users):
            box = folder_of(boxes, seat)
            with acting_as(user):
                make_empty(box)
            Path(box).rmdir()
        make_empty(boxes)
        Path(boxes).rmdir()


def make_empty(path: str) -> None:
    """A folder of our own at `path`, with nothing in it. Whoever made one there before us must be who we are."""
    _make(path, 0o700)
    with _folder(path) as descriptor:
        empty(descriptor)


def _make(path: str, mode: int) -> None:
    """Only for paths whose parent no program can write: what is there cannot change under us."""
    folder = Path(path)
    folder.mkdir(mode, exist_ok=True)
    there = folder.lstat()
    if there.st_uid != os.geteuid() or not stat.S_ISDIR(there.st_mode):
        raise PermissionError(f"{path} is not a folder of ours")
    folder.chmod(mode)


@contextmanager
def _folder(name: str, beside: int | None = None) -> Iterator[int]:
    """An open folder, never one behind a symbolic link."""
    descriptor = os.open(name, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=beside)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def empty(box: int) -> None:
    """Delete all that is in an open folder, however deep it goes.

    Not by recursion: what lies in a subfolder is moved up into the box first, one level at a time, so a
    folder a million levels deep takes time and nothing else. Only the owner's rights are needed.
    """
    unique = secrets.token_hex(8)
    moved = 0
    while names := os.listdir(box):
        for name in names:
            if not _open_up(name, box):
                os.unlink(name, dir_fd=box)
                continue
            with _folder(name, box) as inner:
                for child in os.listdir(inner):  # noqa: PTH208 - an open folder.
                    _open_up(child, inner)  # A folder has to be writable to be moved.
                    os.rename(child, f".{unique}-{moved}", src_dir_fd=inner, dst_dir_fd=box)
                    moved += 1
            os.rmdir(name, dir_fd=box)


def _open_up(name: str, beside: int) -> bool:
    """Whether it is a folder; if so it can be entered afterwards."""
    is_folder = stat.S_ISDIR(os.stat(name, dir_fd=beside, follow_symlinks=False).st_mode)
    if is_folder:
        os.chmod(name, 0o700, dir_fd=beside)
    return is_folder


def is_overfull(path: str, most_bytes: int, most_files: int) -> bool:
    """Whether there is more in a box than may be. Opens nothing but folders; what cannot be looked into is too much."""
    try:
        with _folder(path) as box:
            return _Measure(most_bytes, most_files).is_exceeded_by(box)
    except OSError:
        return True


class _Measure:
    def __init__(self, bytes_left: int, files_left: int) -> None:
        self._bytes_left = bytes_left
        self._files_left = files_left

    def is_exceeded_by(self, folder: int, depth: int = 0) -> bool:
        with os.scandir(folder) as entries:
            return depth > DEEPEST_FOLDER or any(self._takes_too_much(entry, folder, depth) for entry in entries)

    def _takes_too_much(self, entry: os.DirEntry[str], beside: int, depth: int) -> bool:
        self._files_left -= 1
        try:
            self._bytes_left -= entry.stat(follow_symlinks=False).st_blocks * 512
            if self._files_left < 0 or self._bytes_left < 0:
                return True
            if not entry.is_dir(follow_symlinks=False):
                return False
            with _folder(entry.name, beside) as inner:
                return self.is_exceeded_by(inner, depth + 1)
        except FileNotFoundError:
            return False  # Deleted as we looked.
