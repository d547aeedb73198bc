"""Boxes that are folders: emptied whatever is in them, measured whatever is in them, and nobody else's."""

import os
from pathlib import Path

import pytest

from executor_worker.sandbox import folders
from tests.executor_worker.sandbox.children import in_a_child

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can act as several users")
MIB = 1 << 20


@pytest.fixture
def box(tmp_path: Path) -> Path:
    folder = tmp_path / "box"
    folder.mkdir()
    return folder


def test_a_box_is_emptied_of_everything(box: Path) -> None:
    (box / "file").write_text("x")
    (box / "link").symlink_to("/etc/passwd")
    os.mkfifo(box / "fifo")
    (box / "a" / "b").mkdir(parents=True)
    (box / "a" / "b" / "file").write_text("x")
    (box / "a" / "file").write_text("x")

    folders.make_empty(str(box))

    assert not any(box.iterdir())
    assert Path("/etc/passwd").exists()


def test_a_link_out_of_the_box_is_not_followed(box: Path, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "precious").write_text("x")
    (box / "link").symlink_to(outside)

    folders.make_empty(str(box))

    assert (outside / "precious").read_text() == "x"


def test_a_folder_deeper_than_any_path_is_emptied(box: Path) -> None:
    def dig_and_empty() -> int:
        os.chdir(box)
        for _ in range(3000):
            Path("deeper").mkdir()
            os.chdir("deeper")
        folders.make_empty(str(box))
        return len(list(box.iterdir()))

    assert in_a_child(dig_and_empty).returned == 0


def test_a_closed_folder_is_emptied_by_its_owner(box: Path) -> None:
    def close_and_empty() -> int:
        if os.getuid() == 0:
            os.chown(box, 64_297, 64_297)
            box.parent.chmod(0o755)
            os.setuid(64_297)
        (box / "a" / "b" / "c").mkdir(parents=True)
        for folder in (box / "a" / "b" / "c", box / "a" / "b", box / "a", box):
            folder.chmod(0)
        folders.make_empty(str(box))
        return len(list(box.iterdir()))

    for folder in box.parents:  # The way there, for a user who is nobody.
        if folder.stat().st_uid == os.getuid():
            folder.chmod(folder.stat().st_mode | 0o755)
    assert in_a_child(close_and_empty).returned == 0


def test_a_box_that_is_a_link_is_refused(tmp_path: Path) -> None:
    (tmp_path / "box").symlink_to("/etc")

    with pytest.raises(PermissionError):
        folders.make_empty(str(tmp_path / "box"))


@needs_root
def test_a_box_somebody_else_made_is_refused(box: Path) -> None:
    os.chown(box, 64_297, 64_297)

    with pytest.raises(PermissionError):
        folders.make_empty(str(box))


def test_a_box_is_overfull_by_bytes_and_by_number(box: Path) -> None:
    (box / "folder").mkdir()
    (box / "folder" / "file").write_bytes(bytes(MIB))

    assert not folders.is_overfull(str(box), 2 * MIB, 10)
    assert folders.is_overfull(str(box), MIB // 2, 10)
    assert folders.is_overfull(str(box), 2 * MIB, 1)


def test_what_cannot_be_looked_into_is_too_much(box: Path) -> None:
    def hide_and_measure() -> bool:
        if os.getuid() == 0:
            os.chown(box, 64_297, 64_297)
            os.setuid(64_297)
        (box / "closed").mkdir(mode=0)
        return folders.is_overfull(str(box), MIB, 10)

    for folder in box.parents:
        if folder.stat().st_uid == os.getuid():
            folder.chmod(folder.stat().st_mode | 0o755)
    assert in_a_child(hide_and_measure).returned is True


def test_depth_is_too_much_as_well(box: Path) -> None:
    (box / "/".join(["d"] * (folders.DEEPEST_FOLDER + 3))).mkdir(parents=True)

    assert folders.is_overfull(str(box), MIB, 10_000)


@needs_root
def test_boxes_belong_to_their_users_and_are_removed(tmp_path: Path) -> None:
    boxes, users = tmp_path / "boxes", [64_296, 64_297]
    for folder in boxes.parents:
        if folder.stat().st_uid == os.getuid():
            folder.chmod(folder.stat().st_mode | 0o711)

    folders.prepare(str(boxes), users)
    folders.prepare(str(boxes), users)  # As after a runner that was killed.

    seats = [(boxes / f"seat-{seat}").stat() for seat in (0, 1)]
    assert [seat.st_uid for seat in seats] == users
    assert {oct(seat.st_mode & 0o777) for seat in seats} == {"0o700"}
    assert boxes.stat().st_mode & 0o7777 == 0o711
    folders.remove(str(boxes), users)
    assert not boxes.exists()
