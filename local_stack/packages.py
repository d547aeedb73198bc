"""Programs from the distribution: what is there, what is missing, and how it gets here.

Installing starts no service and leaves none enabled: the platform runs its own nginx and RabbitMQ.
"""

import os
import shutil
import subprocess
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from local_stack import broker, postgres, screen
from local_stack.errors import MUST_INSTALL, Trouble


@dataclass(frozen=True)
class Package:
    """A Debian package, and how to see that what we need of it is there (wherever it came from)."""

    apt: str
    what_for: str
    is_there: Callable[[], bool]
    services: tuple[str, ...] = ()


def _has(*names: str) -> Callable[[], bool]:
    return lambda: any(shutil.which(name, path=search_path()) for name in names)


def search_path() -> str:
    """PATH with the folders of system programs, which an ordinary user's PATH leaves out on Debian."""
    folders = os.environ.get("PATH", "").split(os.pathsep)
    return os.pathsep.join([*folders, *(f for f in ("/usr/local/sbin", "/usr/sbin", "/sbin") if f not in folders)])


RABBITMQ = Package(
    "rabbitmq-server",
    "the queue",
    lambda: broker.missing() is None,
    ("rabbitmq-server.service", "epmd.service", "epmd.socket"),
)
NGINX = Package("nginx-light", "the gateway", _has("nginx"), ("nginx.service",))
POSTGRESQL = Package("postgresql", "tests on PostgreSQL", lambda: postgres.missing() is None, ("postgresql.service",))
CHROMIUM = Package("chromium", "tests in a browser", _has("chromium", "chromium-browser", "google-chrome"))
LIBATOMIC = Package("libatomic1", "what drives the browser", lambda: any(Path("/usr/lib").glob("*/libatomic.so.1")))
CURL = Package("curl", "the README's lines, which are tested", _has("curl"))
FOR_TESTS = (NGINX, RABBITMQ, POSTGRESQL, CHROMIUM, LIBATOMIC, CURL)


def _can_make_environments() -> bool:
    try:
        import ensurepip  # noqa: F401  # Debian keeps it in python3-venv, apart from the interpreter.
    except ImportError:
        return False
    return True


PYTHON_VENV = Package("python3-venv", "the Python environments", _can_make_environments)

INSTALL = """\
set -e
policy=/usr/sbin/policy-rc.d
if [ ! -e "$policy" ]; then
    trap 'rm -f "$policy"' EXIT
    trap 'exit 130' INT TERM
    printf '#!/bin/sh\\nexit 101\\n' >"$policy"
    chmod 755 "$policy"
fi
quietly="-qq -o DPkg::Lock::Timeout=300 -o Dpkg::Use-Pty=0"
apt-get $quietly update || echo "apt-get update failed; trying with the lists that are there." >&2
DEBIAN_FRONTEND=noninteractive apt-get $quietly install -y --no-install-recommends $PACKAGES >/dev/null
# policy-rc.d kept them from starting now; this keeps them from starting at the next boot.
for service in $SERVICES; do
    if command -v systemctl >/dev/null; then systemctl --quiet disable "$service" >/dev/null 2>&1 || true; fi
    update-rc.d "${service%.*}" disable >/dev/null 2>&1 || true
done
"""


def install_line(packages: Sequence[Package]) -> str:
    return "apt-get install -y --no-install-recommends " + " ".join(package.apt for package in packages)


def ensure(wanted: Sequence[Package], *, yes: bool) -> None:
    """Have these packages, or end the command with the line that gets them.

    Installs at once as root; as an ordinary user by sudo after asking (--yes answers), when there is a sudo.
    """
    absent = [package for package in wanted if not package.is_there()]
    if not absent:
        return
    names = ", ".join(f"{package.apt} ({package.what_for})" for package in absent)
    if shutil.which("apt-get") is None:
        raise Trouble(
            f"Not installed: {names}. This system has no apt-get: install them in its own way "
            "(Debian's names are given), then run the same command again.",
            MUST_INSTALL,
        )
    by_hand = Trouble(
        f"Not installed: {names}.\nRun this as root, then the same command again:\n\n  {install_line(absent)}\n",
        MUST_INSTALL,
    )
    prefix: list[str] = []
    if os.geteuid() != 0:
        if shutil.which("sudo") is None:
            raise by_hand
        if not screen.confirm(f"Not installed: {names}.\nInstall with sudo ({install_line(absent)})?", yes=yes):
            raise by_hand
        prefix = ["sudo", "--"]
    script = ["/usr/bin/env", f"PACKAGES={' '.join(package.apt for package in absent)}",
              f"SERVICES={' '.join(service for package in absent for service in package.services)}",
              "/bin/sh", "-c", INSTALL]  # fmt: skip
    with screen.step(f"installing {names}"):
        done = subprocess.run(
            [*prefix, *script],
            stdin=None if prefix else subprocess.DEVNULL,  # sudo may have to ask for a password.
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            check=False,
        )
        if done.returncode != 0:
            raise Trouble(
                f"apt-get ended with code {done.returncode}:\n{done.stdout.strip()[-3000:]}\n\n"
                f"When it works again, the line is:\n\n  {install_line(absent)}\n",
                MUST_INSTALL,
            )
    if still := [package.apt for package in absent if not package.is_there()]:
        raise Trouble(f"apt-get installed {', '.join(still)}, yet what we need of it cannot be found.", MUST_INSTALL)
