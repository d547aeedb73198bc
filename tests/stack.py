"""The whole platform as one object: started by `./labs up`, as its users start it."""

import os
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

from local_stack import record
from local_stack.layout import CHECKOUT, State
from local_stack.settings import KNOWN
from local_stack.supervision import NotRunning, ProcessState, Supervisor

LABS = CHECKOUT / "labs"


@dataclass(frozen=True)
class RunningStack:
    """A stack that is up. `part` is a name that `./labs status` shows."""

    url: str
    state: Path

    def pid(self, part: str) -> int:
        """Its process; 0 while it has none."""
        return self._state_of(part).pid

    def is_running(self, part: str) -> bool:
        return self._state_of(part).word == "RUNNING"

    def restart(self, part: str) -> None:
        self._supervisor().restart(part)

    def wait_until_ready(self, seconds: float = 60) -> None:
        """Until `./labs status` finds every part well, after a test was rough with one."""
        deadline = time.monotonic() + seconds
        while (told := labs("status", "--state", self.state)).returncode != 0:
            assert time.monotonic() < deadline, told.stdout + told.stderr
            time.sleep(0.2)

    def log(self, part: str) -> str:
        return (self.state / "log" / f"{part}.log").read_text(errors="replace")

    def _state_of(self, part: str) -> ProcessState:
        states = {each.name: each for each in self._supervisor().states()}
        return states[part]

    def _supervisor(self) -> Supervisor:
        _, sockets = record.read_keeper(State(self.state))
        supervisor = Supervisor(sockets)
        if not supervisor.answers:
            raise NotRunning("the stack is not up")
        return supervisor


def user_environment() -> dict[str, str]:
    """The shell's, without settings of ours: what a test starts must not depend on them."""
    return {name: value for name, value in os.environ.items() if name not in KNOWN}


def labs(*arguments: str | Path, **settings: str) -> "subprocess.CompletedProcess[str]":
    """Run ./labs to its end, with these settings and no others."""
    return subprocess.run(
        [LABS, *arguments],
        env=user_environment() | settings,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )


def start(state: Path, port: int, **settings: str) -> RunningStack:
    """`./labs up --detach`; an AssertionError with all it said when it does not come up."""
    done = labs("up", "--detach", "--state", state, "--port", str(port), **settings)
    assert done.returncode == 0, done.stdout + done.stderr
    listening = record.read_ports(State(state))
    assert listening is not None, done.stdout
    return RunningStack(f"http://localhost:{listening.gateway}", state)
