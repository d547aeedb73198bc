"""The two Python environments: the services' own, and the students'.

They are apart so that a submission can neither import our packages nor read a secret through them. Both are
installed from locked requirements with hashes; a stamp in each says from which, so a second run does nothing.
"""

import fcntl
import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from local_stack import screen
from local_stack.errors import MUST_INSTALL, Trouble
from local_stack.layout import CHECKOUT

REQUIREMENTS = CHECKOUT / "requirements"
SERVICES = CHECKOUT / ".venv"
OLDEST_PYTHON = (3, 11)
STAMP = "labs-installed.json"


def services_python() -> Path:
    return SERVICES / "bin" / "python"


def notebook_environment() -> Path:
    """Where the students' Python lies: in the checkout, unless root runs us where other users cannot look.

    As root each run has a user of its own, and that user reads packages while it runs.
    """
    if os.geteuid() != 0 or is_open_to_others(CHECKOUT):
        return CHECKOUT / ".venv-notebook"
    return Path("/var/lib/open-labs-share") / f"notebook-{_name_for(CHECKOUT)}"


def notebook_python() -> Path:
    return notebook_environment() / "bin" / "python"


def _name_for(folder: Path) -> str:
    return hashlib.sha256(os.fsencode(folder)).hexdigest()[:12]


def is_open_to_others(path: Path) -> bool:
    """Whether every user may go through all the folders above, and through this one."""
    real = path.resolve()
    return all(folder.stat().st_mode & 0o001 for folder in (real, *real.parents) if folder.is_dir())


def base_python() -> Path:
    """The interpreter to build on: the system's before one in a private home, for the same reason as above."""
    names = [f"python3.{minor}" for minor in range(OLDEST_PYTHON[1], OLDEST_PYTHON[1] + 8)]
    system = [Path(folder) / name for folder in ("/usr/bin", "/usr/local/bin") for name in ("python3", *names)]
    here = Path(sys.executable)
    for candidate in system:
        if candidate.exists() and is_open_to_others(candidate.resolve().parent) and _can_be_used(candidate):
            return candidate
    return here


def _can_be_used(python: Path) -> bool:
    check = f"import sys, venv, ensurepip; sys.exit(sys.version_info < {OLDEST_PYTHON})"
    return subprocess.run([python, "-I", "-c", check], capture_output=True, check=False).returncode == 0


# Installing ---------------------------------------------------------------------------------------


def ensure_services(*, with_tools: bool = False) -> None:
    """The services' environment, and with it what `./labs test` needs (dev.txt names local.txt's packages too)."""
    files = [REQUIREMENTS / "local.txt"]
    if with_tools:
        files = [REQUIREMENTS / "dev.txt", *files]
    _ensure(SERVICES, files)


def ensure_notebook() -> None:
    """The students' environment, readable by the users that runs have."""
    environment = notebook_environment()
    if environment.parent != CHECKOUT:
        environment.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
    _ensure(environment, [REQUIREMENTS / "notebook.txt"])


def _ensure(environment: Path, files: list[Path]) -> None:
    with _installing_alone():
        stamp = _read_stamp(environment)
        absent = [file for file in files if stamp.get(file.name) != _fingerprint(file)]
        if not absent and _works(environment):
            return
        with screen.step(f"installing {', '.join(file.name for file in absent or files)} into {_shown(environment)}"):
            if not _works(environment):
                _make(environment)
                stamp = {}
            installed = absent[:1] or files[:1]  # The first file contains the others.
            _install(environment, installed[0])
            stamp |= {file.name: _fingerprint(file) for file in files}
            (environment / STAMP).write_text(json.dumps(stamp, indent=1) + "\n")


@contextmanager
def _installing_alone() -> Iterator[None]:
    """Two stacks of one checkout share the environments, and may be started at the same moment."""
    folder = os.open(REQUIREMENTS, os.O_RDONLY)
    previous = os.umask(0o022)  # Runs of other users read these files.
    try:
        fcntl.flock(folder, fcntl.LOCK_EX)
        yield
    finally:
        os.umask(previous)
        os.close(folder)


def _fingerprint(file: Path) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest()


def _read_stamp(environment: Path) -> dict[str, str]:
    try:
        stamp: dict[str, str] = json.loads((environment / STAMP).read_text())
    except (OSError, ValueError):
        return {}
    return stamp


def _works(environment: Path) -> bool:
    """Whether its interpreter starts and still means this folder: a moved checkout or a new system Python breaks it."""
    python = environment / "bin" / "python"
    if not python.exists():
        return False
    check = "import sys; print(sys.prefix)"
    done = subprocess.run([python, "-I", "-c", check], capture_output=True, text=True, check=False)
    return done.returncode == 0 and Path(done.stdout.strip()).resolve() == environment.resolve()


def _make(environment: Path) -> None:
    if environment.exists() and not (environment / "pyvenv.cfg").exists():
        raise Trouble(f"{environment} is there but is no Python environment; move it away and try again.")
    _run([base_python(), "-m", "venv", "--clear", "--without-pip", environment])


def _install(environment: Path, requirements: Path) -> None:
    """By uv, which takes a third of pip's time; by pip where uv cannot be had or fails."""
    python = environment / "bin" / "python"
    installer = uv()
    if installer is not None:
        command: list[str | Path] = [
            installer,
            "pip",
            "install",
            "-q",
            "--no-progress",
            "--compile-bytecode",
            "--require-hashes",
        ]
        done = subprocess.run(
            [*command, "--python", python, "-r", requirements],
            capture_output=True,
            text=True,
            env=clean_environment(),
            check=False,
        )
        if done.returncode == 0:
            return
        screen.say(f"\n  uv could not install {requirements.name}, trying pip. uv said:\n{done.stderr.strip()}")
    _ensure_pip(python)
    _run([python, "-m", "pip", "install", "-q", "--disable-pip-version-check", "--require-hashes", "-r", requirements])


def uv() -> Path | None:
    """uv beside the services' Python, from its own locked requirement; None when it cannot be had."""
    installed = SERVICES / "bin" / "uv"
    if not installed.exists():
        if not _works(SERVICES):
            _make(SERVICES)
        _ensure_pip(services_python())
        subprocess.run(
            [services_python(), "-m", "pip", "install", "-q", "--disable-pip-version-check", "--require-hashes",
             "-r", REQUIREMENTS / "uv.txt"],
            env=clean_environment(), capture_output=True, check=False,
        )  # fmt: skip
    return installed if installed.exists() else None


def _ensure_pip(python: Path) -> None:
    has_pip = subprocess.run([python, "-c", "import pip"], capture_output=True, check=False).returncode == 0
    if not has_pip:
        _run([python, "-m", "ensurepip", "--default-pip"])


def clean_environment() -> dict[str, str]:
    """The caller's environment (proxies, indexes) without what would point the tools at another Python."""
    return {
        name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV")
    }


def _run(command: list[str | Path]) -> None:
    done = subprocess.run(command, capture_output=True, text=True, env=clean_environment(), check=False)
    if done.returncode != 0:
        said = (done.stderr.strip() or done.stdout.strip())[-3000:]
        raise Trouble(f"{' '.join(map(str, command))}\nended with code {done.returncode}:\n{said}", MUST_INSTALL)


def _shown(path: Path) -> str:
    return str(path.relative_to(CHECKOUT)) if path.is_relative_to(CHECKOUT) else str(path)
