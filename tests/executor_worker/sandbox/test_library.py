"""Which folders a program gets to read, and the one it never does."""

import sys
from pathlib import Path

from executor_worker.sandbox import library

PROJECT = Path(__file__).parents[3]


def test_the_interpreter_and_its_packages_are_listed() -> None:
    folders = library.library_folders(never=str(PROJECT))

    for module in (sys.modules["json"], sys.modules["pytest"]):
        path = Path(str(module.__file__)).resolve()
        assert any(path.is_relative_to(folder) for folder in folders), path


def test_the_project_is_not_listed_even_when_it_can_be_imported() -> None:
    assert str(PROJECT) in sys.path

    folders = library.library_folders(never=str(PROJECT))

    assert not any(Path(__file__).is_relative_to(folder) for folder in folders)
    assert not any((PROJECT / "var").is_relative_to(folder) for folder in folders)


def test_folders_inside_others_are_left_out() -> None:
    assert library.without_nested({"/a/b", "/a", "/ab", "/c/d"}) == ("/a", "/ab", "/c/d")


def test_a_closed_folder_on_the_way_is_named(tmp_path: Path) -> None:
    inner = tmp_path / "closed" / "open"
    inner.mkdir(parents=True)
    tmp_path.chmod(0o755)
    (tmp_path / "closed").chmod(0o700)

    found = library.first_closed_to_others((str(inner),))

    assert found is not None
    assert inner.is_relative_to(found)
    assert library.first_closed_to_others(("/usr/lib",)) is None
