"""`./labs lock`: compile requirements/*.in into *.txt, with hashes and for every platform.

dev comes first and the others follow it, so that what is tested is what is deployed.
"""

import subprocess
from pathlib import Path

from local_stack import screen
from local_stack.environments import REQUIREMENTS, clean_environment, uv
from local_stack.errors import FAILED, MUST_INSTALL, Trouble
from local_stack.layout import CHECKOUT

APART = ("dev", "notebook", "uv")
LIKE_DEV = ("auth_service", "main_service", "executor_worker", "local")


def lock(*, upgrade: bool) -> None:
    """Keep the locked versions where the .in files still allow them; take the newest ones with `upgrade`."""
    compiler = uv()
    if compiler is None:
        raise Trouble("uv, which compiles the requirements, cannot be installed.", MUST_INSTALL)
    for name in (*APART, *LIKE_DEV):
        command: list[str | Path] = [
            compiler,
            "pip",
            "compile",
            "-q",
            "--universal",
            "--python-version",
            "3.11",
            "--generate-hashes",
        ]
        command += ["--upgrade"] if upgrade else []
        command += ["-c", "dev.txt"] if name in LIKE_DEV else []
        with screen.step(f"compiling {(REQUIREMENTS / name).relative_to(CHECKOUT)}.in"):
            done = subprocess.run(
                [*command, f"{name}.in", "-o", f"{name}.txt"],
                cwd=REQUIREMENTS,
                capture_output=True,
                text=True,
                env=clean_environment(),
                check=False,
            )
        if done.returncode != 0:
            raise Trouble(f"uv could not compile {name}.in:\n{done.stderr.strip()}", FAILED)
