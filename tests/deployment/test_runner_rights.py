"""The runner, with exactly the rights compose leaves it: enough to pass its own self-test, and no more."""

import json
import os
import shutil
import socket
import struct
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from local_stack.environments import notebook_python
from tests.deployment.files import ROOT, copied_into, services

NOTEBOOK_PYTHON = notebook_python()
WORKER_GROUP = 10001

pytestmark = [
    pytest.mark.skipif(os.geteuid() != 0, reason="only root can give rights up"),
    pytest.mark.skipif(not NOTEBOOK_PYTHON.exists(), reason="the students' Python is not installed (./labs up)"),
    pytest.mark.skipif(not shutil.which("setpriv"), reason="setpriv is not installed"),
]


def _rights() -> list[str]:
    """docker's `user`, `cap_drop`, `cap_add`, `no-new-privileges` and `network_mode: none`, without docker."""
    runner = services()["runner"]
    kept = ",".join(f"+{name.lower()}" for name in runner["cap_add"])
    user, group = runner["user"].split(":")
    return [
        *("unshare", "--net", "setpriv", f"--reuid={user}", f"--regid={group}", "--clear-groups"),
        *(f"--bounding-set=-all,{kept}", f"--inh-caps=-all,{kept}", "--no-new-privs"),
    ]


@pytest.fixture
def runner() -> Iterator[Path]:
    """The socket of a runner that started so. Outside of pytest's folders: programs must be able to read its files."""
    home = Path("/tmp") / f"labs-deployment-{os.getpid()}"
    home.mkdir(mode=0o755)
    copied_into(home / "srv", ROOT / "executor_worker" / "Dockerfile", "runner")
    (home / "run").mkdir()
    os.chown(home / "run", 0, WORKER_GROUP)
    (home / "run").chmod(0o2710)
    arguments = [word.replace("/run/runner", f"{home}/run") for word in services()["runner"]["command"]]
    arguments[arguments.index("--box-dir") + 1] = str(home / "box")
    command = [*_rights(), NOTEBOOK_PYTHON, "-I", home / "srv/executor_worker/runner/__main__.py", *arguments]
    with open(home / "log", "wb") as log:
        process = subprocess.Popen(command, env={}, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
    door = home / "run" / "runner.sock"
    try:
        deadline = time.monotonic() + 60
        while not door.exists():
            assert process.poll() is None, (home / "log").read_text()
            assert time.monotonic() < deadline, (home / "log").read_text()
            time.sleep(0.05)
        yield door
    finally:
        process.terminate()
        try:
            process.wait(timeout=20)
        finally:
            process.kill()
            shutil.rmtree(home)


def _hello(door: Path) -> dict[str, Any]:
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(10)
        connection.connect(str(door))
        request = b'{"op": "hello"}'
        connection.sendall(struct.pack(">I", len(request)) + request)
        (length,) = struct.unpack(">I", connection.recv(4, socket.MSG_WAITALL))
        answer: dict[str, Any] = json.loads(connection.recv(length, socket.MSG_WAITALL))
    return answer


def _may_connect(door: Path, user: int) -> bool:
    code = "import socket, sys; socket.socket(socket.AF_UNIX).connect(sys.argv[1])"
    tried = subprocess.run(
        ["setpriv", f"--reuid={user}", f"--regid={user}", "--clear-groups", "/usr/bin/python3", "-c", code, door],
        capture_output=True,
    )
    return tried.returncode == 0


@pytest.mark.slow
def test_two_capabilities_are_enough(runner: Path) -> None:
    hello = _hello(runner)

    assert hello["event"] == "hello"
    assert hello["isolation"] == "processes"
    assert hello["slots"] == 2


@pytest.mark.slow
def test_the_worker_reaches_the_socket_and_a_programs_user_does_not(runner: Path) -> None:
    assert _may_connect(runner, WORKER_GROUP)
    assert not _may_connect(runner, 64_100)


@pytest.mark.slow
def test_its_health_check_finds_it_well(runner: Path) -> None:
    *_, code = services()["runner"]["healthcheck"]["test"]

    checked = subprocess.run(
        [NOTEBOOK_PYTHON, "-I", "-c", code.replace("/run/runner/runner.sock", str(runner))], capture_output=True
    )

    assert checked.returncode == 0, checked.stderr
