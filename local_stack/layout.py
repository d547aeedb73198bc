"""Where everything lies: the checkout, and the state folder of one stack.

Two stacks differ by their state folder alone, so nothing outside it may be written by a running stack,
but for one short folder for sockets where the state folder's own path is too long for them.
"""

import contextlib
import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parent.parent
DEFAULT_STATE = CHECKOUT / "var"

# A unix socket's path must stay below 108 bytes; supervisor binds "<socket>.<pid>" first.
LONGEST_SOCKET_FOLDER = 100 - len("/supervisor.sock.1234567")


@dataclass(frozen=True)
class State:
    """The folders of one stack. `home` is absolute."""

    home: Path

    @property
    def settings_file(self) -> Path:
        return self.home / "labs.env"

    @property
    def secrets(self) -> Path:
        return self.home / "secrets"

    @property
    def databases(self) -> Path:
        return self.home / "db"

    @property
    def broker(self) -> Path:
        return self.home / "rabbitmq"

    @property
    def logs(self) -> Path:
        return self.home / "log"

    @property
    def run(self) -> Path:
        return self.home / "run"

    @property
    def gateway(self) -> Path:
        return self.run / "nginx"

    @property
    def ports_file(self) -> Path:
        return self.run / "ports.json"

    def made_by_us(self) -> list[Path]:
        """What `reset` may delete: never labs.env, which people write, nor anything we do not know."""
        return [self.secrets, self.databases, self.broker, self.logs, self.run]

    def make(self) -> None:
        """Create the folders, closed to other users: they hold keys, passwords and people's work."""
        if not self.home.exists():
            self.home.mkdir(mode=0o700, parents=True)
        for folder in (self.secrets, self.databases, self.broker, self.logs, self.run):
            folder.mkdir(mode=0o700, exist_ok=True)

    @contextlib.contextmanager
    def held(self) -> Iterator[None]:
        """One command at a time changes a stack; a second one waits here."""
        self.run.mkdir(mode=0o700, parents=True, exist_ok=True)
        with open(self.run / "lock", "w") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                print("Another ./labs command is at work on this stack; waiting for it.")
                fcntl.flock(lock, fcntl.LOCK_EX)
            yield


def socket_folder(state: State) -> Path:
    """A private folder whose path is short enough for unix sockets: run/, or a new one in /tmp."""
    if len(os.fsencode(state.run)) <= LONGEST_SOCKET_FOLDER:
        return state.run
    return Path(tempfile.mkdtemp(prefix="labs-", dir="/tmp"))  # By mkdtemp: 0700 and ours.


def forget_socket_folder(state: State, folder: Path) -> None:
    """Delete a folder that socket_folder() made in /tmp."""
    if folder != state.run and folder.parent == Path("/tmp") and folder.name.startswith("labs-"):  # noqa: S108
        shutil.rmtree(folder, ignore_errors=True)


def write_private(path: Path, text: str, mode: int = 0o600) -> None:
    """Replace a file in one step, never readable by others on the way."""
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text)
        Path(temporary).chmod(mode)
        Path(temporary).replace(path)
    except BaseException:
        with contextlib.suppress(OSError):
            Path(temporary).unlink()
        raise
