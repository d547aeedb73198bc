"""`./labs doctor`: what this machine has, what is missing, how to get it, and how well it can confine."""

import ctypes
import os
import platform
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from local_stack import environments, packages, postgres, screen
from local_stack.errors import MUST_INSTALL
from local_stack.packages import Package

SYS_LANDLOCK_CREATE_RULESET = 444
LANDLOCK_ASK_VERSION = 1
CLONE_NEWNS, CLONE_NEWUSER, CLONE_NEWPID = 0x00020000, 0x10000000, 0x20000000


def doctor() -> int:
    """Print the tables. 0 when the platform can be started here, 3 when something needed is missing."""
    rows, complete = _tools()
    screen.say(screen.table(rows, ("tool", "found", "needed", "how to get it")))
    screen.say("\nHow student code can be confined here (the runner itself tests this at start):\n")
    screen.say(screen.table(_layers(), ("layer", "here", "what it is for")))
    screen.say("\nThe platform can be started: ./labs up" if complete else "\nInstall what is marked, then: ./labs up")
    return 0 if complete else MUST_INSTALL


# Tools --------------------------------------------------------------------------------------------


def _tools() -> tuple[list[tuple[str, ...]], bool]:
    python = environments.base_python()
    rows: list[tuple[str, ...]] = [
        ("Linux", platform.release() if sys.platform == "linux" else f"no: {sys.platform}", "yes", ""),
        ("Python", f"{_first_line(python, '--version').removeprefix('Python ')} ({python})", "3.11 or newer", ""),
        _row("python3-venv", packages.PYTHON_VENV, "yes", lambda: "yes"),
        _row("RabbitMQ", packages.RABBITMQ, "3.10 or newer, or AMQP_URL", _rabbitmq_version),
        _row("nginx", packages.NGINX, "1.18 or newer", _nginx_version),
        _row("PostgreSQL", packages.POSTGRESQL, "for ./labs test only", _postgres_version),
        *(
            _row(package.apt, package, "for ./labs test only", lambda: "yes")
            for package in (packages.CHROMIUM, packages.LIBATOMIC, packages.CURL)
        ),
        ("sudo", shutil.which("sudo") or "no", "only to install as a user", ""),
        ("environments", _environments(), "made by ./labs up", ""),
    ]
    needed = [packages.PYTHON_VENV, packages.NGINX]
    if not os.environ.get("AMQP_URL") and not os.environ.get("AMQP_URL_FILE"):
        needed.append(packages.RABBITMQ)
    return rows, sys.platform == "linux" and all(package.is_there() for package in needed)


def _row(name: str, package: Package, needed: str, version: Callable[[], str]) -> tuple[str, ...]:
    if package.is_there():
        return name, version(), needed, ""
    return name, "missing", needed, packages.install_line([package])


def _rabbitmq_version() -> str:
    folders = sorted(Path("/usr/lib/rabbitmq/lib").glob("rabbitmq_server-*"))
    return folders[-1].name.removeprefix("rabbitmq_server-") if folders else "yes"


def _nginx_version() -> str:
    nginx = shutil.which("nginx", path=packages.search_path())
    return _first_line(Path(nginx), "-v").rpartition("/")[2] if nginx else "yes"


def _postgres_version() -> str:
    folder = postgres.binaries()
    found = re.search(r"\d+(\.\d+)?", _first_line(folder / "postgres", "--version")) if folder else None
    return found[0] if found else "yes"


def _first_line(program: Path, argument: str) -> str:
    done = subprocess.run([program, argument], capture_output=True, text=True, check=False)
    return (done.stdout or done.stderr).strip().split("\n")[0]


def _environments() -> str:
    there = [name for name, python in (("services", environments.services_python()),
                                       ("students", environments.notebook_python())) if python.exists()]  # fmt: skip
    return " and ".join(there) or "not yet"


# Isolation ----------------------------------------------------------------------------------------


def _layers() -> list[tuple[str, ...]]:
    landlock = _landlock_version()
    return [
        ("own user per run", "yes" if os.geteuid() == 0 else "no: needs root", "runs cannot touch each other"),
        ("seccomp", _yes(Path("/proc/sys/kernel/seccomp/actions_avail").exists()), "no new programs, no network"),
        ("landlock", f"version {landlock}" if landlock else "no", "no files but those of Python"),
        ("namespaces", _namespaces(), "an empty network, a small disk of its own"),
        ("cgroup", _cgroup(), "exact memory figures and limits"),
    ]


def _yes(there: bool) -> str:
    return "yes" if there else "no"


def _landlock_version() -> int:
    libc = ctypes.CDLL(None, use_errno=True)
    version: int = libc.syscall(SYS_LANDLOCK_CREATE_RULESET, None, 0, LANDLOCK_ASK_VERSION)
    return max(version, 0)


def _namespaces() -> str:
    """Tried in a child, since one cannot step back out of a namespace."""
    flags = CLONE_NEWNS | CLONE_NEWPID | (0 if os.geteuid() == 0 else CLONE_NEWUSER)
    child = os.fork()
    if child == 0:
        os._exit(0 if ctypes.CDLL(None).unshare(flags) == 0 else 1)
    _, status = os.waitpid(child, 0)
    return _yes(status == 0)


def _cgroup() -> str:
    root = Path("/sys/fs/cgroup")
    if (root / "cgroup.controllers").exists():
        own = root / Path("/proc/self/cgroup").read_text().strip().rpartition("::")[2].lstrip("/")
        return "v2" if os.access(own / "cgroup.procs", os.W_OK) else "v2, not ours to write"
    if (root / "memory").is_dir():
        return "v1" if os.access(root / "memory" / "cgroup.procs", os.W_OK) else "v1, not ours to write"
    return "no"
