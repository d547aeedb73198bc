"""The Dockerfiles: linted, and holding all that their programs need, tried without building them."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.deployment.files import DOCKERFILES, ROOT, copied_into, stages

AUTH, WORKER, MAIN, NGINX = (ROOT / name / "Dockerfile" for name in
                             ("auth_service", "executor_worker", "main_service", "nginx"))  # fmt: skip


@pytest.mark.parametrize("dockerfile", DOCKERFILES, ids=lambda path: path.parent.name)
def test_hadolint_finds_nothing(dockerfile: Path) -> None:
    hadolint = Path(sys.executable).with_name("hadolint")

    linted = subprocess.run([hadolint, dockerfile], capture_output=True, text=True)

    assert (linted.returncode, linted.stdout) == (0, "")


def test_hadolint_would_find_something(tmp_path: Path) -> None:
    bad = tmp_path / "Dockerfile"
    bad.write_text("FROM debian\nRUN sudo apt-get install nginx\n")

    linted = subprocess.run([Path(sys.executable).with_name("hadolint"), bad], capture_output=True, text=True)

    assert linted.returncode == 1


@pytest.mark.parametrize("dockerfile", DOCKERFILES, ids=lambda path: path.parent.name)
def test_every_base_is_pinned(dockerfile: Path) -> None:
    found = stages(dockerfile)
    for stage in found.values():
        assert stage.base in found or stage.base == "debian:12-slim"


@pytest.mark.parametrize("dockerfile", [AUTH, WORKER, MAIN], ids=lambda path: path.parent.name)
def test_packages_are_installed_by_hash(dockerfile: Path) -> None:
    installs = re.findall(r"pip install[^\n]*", re.sub(r"\\\n", " ", dockerfile.read_text()))

    assert installs
    assert all("--require-hashes" in install for install in installs)


def test_what_an_image_needs_is_in_the_build_context() -> None:
    allowed = [line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")]
    for dockerfile in DOCKERFILES:
        for stage in stages(dockerfile).values():
            for word, rest in stage.instructions:
                if word == "COPY" and not rest.startswith("--"):
                    for source in rest.split()[:-1]:
                        assert any(Path(source).match(f"{rule}*") or source.split("/")[0] == rule for rule in allowed)
                        assert list(ROOT.glob(source)), f"{dockerfile}: no {source}"


IMPORTS = [
    (AUTH, "service", "import auth_service.app, service_kit.gunicorn_conf"),
    (AUTH, "secrets", "import auth_service.keys, docker.make_secrets"),
    (MAIN, "service", "import main_service.app, service_kit.gunicorn_conf"),
    (WORKER, "worker", "import executor_worker.__main__, executor_worker.languages.python"),
]


@pytest.mark.parametrize(("dockerfile", "target", "code"), IMPORTS, ids=lambda value: getattr(value, "parent", value))
def test_an_image_holds_all_that_its_program_imports(tmp_path: Path, dockerfile: Path, target: str, code: str) -> None:
    copied_into(tmp_path, dockerfile, target)

    tried = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, env={}, capture_output=True, text=True)

    assert tried.returncode == 0, tried.stderr


def test_the_worker_holds_no_runner_and_the_runner_nothing_else(tmp_path: Path) -> None:
    copied_into(tmp_path / "worker", WORKER, "worker")
    copied_into(tmp_path / "runner", WORKER, "runner")

    assert not (tmp_path / "worker" / "executor_worker" / "runner").exists()
    assert {str(path.relative_to(tmp_path / "runner")) for path in (tmp_path / "runner").glob("*/*")} == {
        "executor_worker/__init__.py",
        "executor_worker/runner",
        "executor_worker/sandbox",
    }


def test_the_gateways_image_renders_with_debians_python_alone(tmp_path: Path) -> None:
    copied_into(tmp_path, NGINX, "0")
    (variables,) = (rest for word, rest in stages(NGINX)["0"].instructions if word == "ENV")
    environment = dict(pair.split("=") for pair in variables.split())
    environment |= {"SITE_ROOT": str(tmp_path / "frontend"), "RUN_DIR": str(tmp_path / "run")}
    environment |= {
        "AUTH_UPSTREAM": "auth-service:8000",
        "MAIN_UPSTREAM": "main-service:8000",
        "RESOLVER": "127.0.0.11",
    }

    render = ["/usr/bin/python3", "-I", str(tmp_path / "nginx" / "render.py"), "--out", str(tmp_path / "conf")]
    rendered = subprocess.run(render, env=environment, capture_output=True, text=True)

    assert rendered.returncode == 0, rendered.stderr
    command = rendered.stdout.split()
    tried = subprocess.run([*command, "-t"], capture_output=True, text=True)
    if os.geteuid() == 0:
        shutil.rmtree(command[command.index("-p") + 1], ignore_errors=True)
    assert tried.returncode == 0, tried.stderr
