"""`./labs test`: get everything that the tests use, then run every check. The one command of CI."""

import os
import subprocess
import time
from pathlib import Path

from local_stack import environments, packages, screen
from local_stack.errors import FAILED, Trouble
from local_stack.layout import CHECKOUT

CODE = (
    "service_kit",
    "auth_service",
    "main_service",
    "executor_worker",
    "nginx",
    "docker",
    "local_stack",
    "tests",
    "benchmarks",
)


def checks(pytest_arguments: list[str], *, fast: bool) -> list[tuple[str, list[str]]]:
    """Every check as (name, command), the quick ones first and pytest's closing line last."""
    tools = environments.SERVICES / "bin"
    code = [name for name in CODE if (CHECKOUT / name).is_dir()]
    selection = ["-m", "not slow"] if fast else []
    return [
        ("ruff check", [f"{tools}/ruff", "check", "--quiet", "."]),
        ("ruff format", [f"{tools}/ruff", "format", "--quiet", "--check", "."]),
        ("mypy", [f"{tools}/mypy", *code]),
        ("import rules", [f"{tools}/lint-imports", "--no-cache"]),
        ("pytest", [f"{tools}/python", "-m", "pytest", *selection, *pytest_arguments]),
    ]


def test(pytest_arguments: list[str], *, fast: bool, yes: bool) -> int:
    """Run them all, also after a failure: one run tells everything. 0 when all passed."""
    _prepare(yes=yes)
    failed = []
    for name, command in checks(pytest_arguments, fast=fast):
        screen.say(f"── {name} " + "─" * max(0, 70 - len(name)))
        started = time.monotonic()
        done = subprocess.run(command, cwd=CHECKOUT, env=_environment(), check=False)
        if done.returncode != 0:
            failed.append(name)
        screen.say(f"   {'passed' if done.returncode == 0 else 'FAILED'} in {time.monotonic() - started:.0f} s")
    screen.say(f"\nFailed: {', '.join(failed)}." if failed else "\nAll checks passed.")
    return FAILED if failed else 0


def _prepare(*, yes: bool) -> None:
    try:
        packages.ensure([packages.PYTHON_VENV, *packages.FOR_TESTS], yes=yes)
    except Trouble as trouble:
        if os.environ.get("CI") or not packages.PYTHON_VENV.is_there():
            raise
        screen.warn(f"{trouble}\nWithout them, the tests that use them are skipped.")
    environments.ensure_services(with_tools=True)
    environments.ensure_notebook()


def _environment() -> dict[str, str]:
    """The caller's own, with the system's programs in reach and no other Python in the way."""
    environment = environments.clean_environment()
    tools = str(Path(environments.SERVICES / "bin"))
    return {**environment, "PATH": os.pathsep.join([tools, packages.search_path()])}
