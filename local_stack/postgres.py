"""A throw-away PostgreSQL cluster: a socket in a short folder, no port, gone when stopped.

For tests only: fsync is off, so a power cut would lose the data it never meant to keep. initdb refuses
root, therefore a cluster started by root runs as another user, who owns the folder.
"""

import os
import pwd
import shutil
import subprocess
import tempfile
from pathlib import Path

USER = "labs"
APT_PACKAGE = "postgresql"


class PostgresFailed(Exception):
    """A PostgreSQL tool ended with an error; the text is what it said."""


def binaries() -> Path | None:
    """The folder with initdb and pg_ctl, newest version first. Debian keeps it off the PATH."""
    versions = [found for found in Path("/usr/lib/postgresql").glob("*/bin") if (found / "initdb").exists()]
    if versions:
        return max(versions, key=lambda found: int(found.parent.name) if found.parent.name.isdigit() else 0)
    initdb = shutil.which("initdb")
    return Path(initdb).resolve().parent if initdb else None


def missing() -> str | None:
    """None when a cluster can be made here, else the sentence that says what to install."""
    if binaries():
        return None
    return f"PostgreSQL is not installed: apt-get install -y --no-install-recommends {APT_PACKAGE}"


class PostgresCluster:
    """One cluster between `start()` and `stop()`."""

    def __init__(self) -> None:
        found = binaries()
        if found is None:
            raise PostgresFailed(missing())
        self._binaries = found
        self._owner = _unprivileged_user() if os.geteuid() == 0 else None
        # Directly under /tmp whatever TMPDIR says: a socket's path must stay below 108 bytes.
        self.home = Path(tempfile.mkdtemp(prefix="labs-pg-", dir="/tmp"))
        if self._owner:
            os.chown(self.home, self._owner.pw_uid, self._owner.pw_gid)

    def start(self) -> None:
        self._run("initdb", "-D", f"{self.home}/data", "-U", USER, "--auth-local=trust", "--auth-host=reject",
                  "-E", "UTF8", "--locale=C.UTF-8", "--no-sync")  # fmt: skip
        options = f"-k {self.home} -h '' -c fsync=off -c synchronous_commit=off -c full_page_writes=off"
        self._run("pg_ctl", "-D", f"{self.home}/data", "-l", f"{self.home}/log", "-w", "-o", options, "start")

    def stop(self) -> None:
        """End it and delete its folder. Safe to call twice, and after a start that failed."""
        if (self.home / "data" / "postmaster.pid").exists():
            self._run("pg_ctl", "-D", f"{self.home}/data", "-w", "-m", "immediate", "stop")
        shutil.rmtree(self.home, ignore_errors=True)

    def url(self, database: str) -> str:
        return f"postgresql+psycopg://{USER}@/{database}?host={self.home}"

    def create_database(self, name: str) -> str:
        """An empty database's URL, for SQLAlchemy with psycopg 3."""
        self._sql(f'CREATE DATABASE "{name}"')
        return self.url(name)

    def drop_database(self, name: str) -> None:
        """Also when somebody is still connected: a pool left open must not fail the next test."""
        self._sql(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')

    def _sql(self, statement: str) -> None:
        self._run("psql", "-h", str(self.home), "-U", USER, "-d", "postgres", "-q", "-X", "-c", statement)

    def _run(self, tool: str, *arguments: str) -> None:
        with open(self.home / "tools.log", "w+") as output:  # A pipe would stay open in the server and never end.
            done = subprocess.run(
                [str(self._binaries / tool), *arguments],
                cwd=self.home,
                env={"PATH": "/usr/bin:/bin", "LANG": "C.UTF-8"},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                check=False,
                user=self._owner.pw_uid if self._owner else None,
                group=self._owner.pw_gid if self._owner else None,
                extra_groups=[] if self._owner else None,
            )
            if done.returncode != 0:
                output.seek(0)
                raise PostgresFailed(f"{tool} ended with code {done.returncode}: {output.read().strip()}")


def _unprivileged_user() -> pwd.struct_passwd:
    for name in ("postgres", "nobody"):
        try:
            return pwd.getpwnam(name)
        except KeyError:
            continue
    raise PostgresFailed("There is neither a user postgres nor a user nobody to run PostgreSQL as.")
