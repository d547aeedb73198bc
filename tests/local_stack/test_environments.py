import pytest

from local_stack import environments
from local_stack.layout import CHECKOUT


def test_folder_under_a_private_one_is_not_open_to_others(tmp_path):
    private = tmp_path / "home"
    (private / "checkout").mkdir(parents=True)
    private.chmod(0o700)

    assert not environments.is_open_to_others(private / "checkout")


def test_requirements_name_a_hash_for_every_package():
    for file in (CHECKOUT / "requirements").glob("*.txt"):
        text = file.read_text().replace("\\\n", " ")
        pins = [line for line in text.splitlines() if line and not line.lstrip().startswith("#")]
        assert pins
        assert not [pin for pin in pins if "--hash=sha256:" not in pin], file.name


@pytest.mark.parametrize("name", ["dev", "local", "auth_service", "main_service", "executor_worker", "notebook", "uv"])
def test_each_wanted_package_is_locked(name):
    folder = CHECKOUT / "requirements"
    locked = (folder / f"{name}.txt").read_text().lower()
    for line in (folder / f"{name}.in").read_text().splitlines():
        wanted = line.partition("#")[0].strip()
        if wanted and not wanted.startswith("-r"):
            package = wanted.lower().partition("[")[0].split(">")[0].split("<")[0].split("=")[0].strip()
            assert f"\n{package.replace('_', '-')}==" in "\n" + locked, f"{name}.txt lacks {package}: run make lock"


def test_all_environments_agree_on_versions():
    folder = CHECKOUT / "requirements"
    pins = {
        name: {
            line.split()[0]
            for line in (folder / f"{name}.txt").read_text().splitlines()
            if "==" in line and line[0] != " "
        }
        for name in ("dev", "local", "auth_service", "main_service", "executor_worker")
    }

    for name, pinned in pins.items():
        assert pinned <= pins["dev"], f"{name}.txt differs from dev.txt: run make lock"
