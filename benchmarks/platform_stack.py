"""The whole platform, started as a user starts it and asked through its gateway."""

from __future__ import annotations

import os
import re
import subprocess
import time
import uuid
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

import requests

FINAL_AFTER = ("queued", "running")


@dataclass(frozen=True)
class Burst:
    count: int
    seconds_to_accept: float
    seconds_to_finish: float


class PlatformStack:
    """`./labs up --detach` with a state folder of its own and no rate limits; `./labs down` at the end."""

    def __init__(self, root: Path, state: Path) -> None:
        self._labs = [str(root / "labs")]
        self._folder = state
        self._state = ["--state", str(state)]

    def __enter__(self) -> PlatformStack:
        no_limits = {"RATE_LOGIN": "off", "RATE_SUBMIT": "off", "RATE_API": "off", "MAX_WAITING_PER_USER": "100000"}
        started = time.perf_counter()
        shown = subprocess.run(
            [*self._labs, "up", "--detach", *self._state],
            env={**os.environ, **no_limits},
            check=True,
            capture_output=True,
            text=True,
        ).stdout
        self.seconds_to_ready = time.perf_counter() - started
        found = re.search(r"http://\S+?:\d+", shown)
        if found is None:
            raise SystemExit(f"./labs up printed no URL:\n{shown}")
        self._url = found.group()
        self._http = requests.Session()
        login = f"bench-{uuid.uuid4().hex[:8]}"
        password = uuid.uuid4().hex
        self._post("/auth/register", login=login, email=f"{login}@example.org", name="Bench", password=password)
        token = self._post("/auth/login", login=login, password=password)["access_token"]
        self._http.headers["Authorization"] = f"Bearer {token}"
        return self

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        subprocess.run([*self._labs, "down", *self._state], check=True, capture_output=True)

    def _post(self, path: str, **body: str) -> dict[str, str]:
        answer = self._http.post(f"{self._url}/api{path}", json=body, timeout=30)
        answer.raise_for_status()
        answered: dict[str, str] = answer.json()
        return answered

    def only_post(self) -> None:
        self._last = self._post("/submissions", source="print('hello')", language="python")["id"]

    def post_and_wait(self) -> None:
        self.only_post()
        self._wait(self._last)

    def wait_until_idle(self) -> None:
        if hasattr(self, "_last"):
            self._wait(self._last)

    def let_it_settle(self) -> None:
        """A few runs first, so that no part is met cold."""
        for _ in range(10):
            self.post_and_wait()

    def _wait(self, submission_id: str) -> None:
        etag = ""
        while True:
            answer = self._http.get(
                f"{self._url}/api/submissions/{submission_id}", headers={"If-None-Match": etag}, timeout=30
            )
            if answer.status_code == 304:
                continue
            submission = answer.json()
            etag = answer.headers["ETag"]
            if submission["status"] not in FINAL_AFTER:
                if (submission["status"], submission["stdout"]) != ("completed", "hello\n"):
                    raise SystemExit(f"wrong answer: {submission}")
                return

    def burst(self, count: int) -> Burst:
        """Submit as fast as eight clients can, then wait for every result."""

        def submit(_: int) -> str:
            return self._post("/submissions", source="print('hello')", language="python")["id"]

        started = time.perf_counter()
        with ThreadPoolExecutor(8) as pool:
            ids = list(pool.map(submit, range(count)))
        accepted = time.perf_counter() - started
        for submission_id in ids:
            self._wait(submission_id)
        return Burst(count, accepted, time.perf_counter() - started)

    def idle_memory_mib(self) -> float:
        """Proportional set size of supervisord and every process below it: what stopping the stack would give back."""
        supervisor = int((self._folder / "run" / "supervisord.pid").read_text())
        parents = {int(stat.parent.name): _parent(stat) for stat in Path("/proc").glob("[0-9]*/stat")}
        family = {pid for pid in parents if supervisor in _line_of(pid, parents)}
        return sum(_pss_kib(pid) for pid in family) / 1024


def _parent(stat: Path) -> int:
    try:
        return int(stat.read_text().rpartition(")")[2].split()[1])
    except OSError:
        return 0


def _line_of(pid: int, parents: dict[int, int]) -> list[int]:
    line = []
    while pid:
        line.append(pid)
        pid = parents.get(pid, 0)
    return line


def _pss_kib(pid: int) -> int:
    try:
        rollup = Path(f"/proc/{pid}/smaps_rollup").read_text()
    except OSError:
        return 0
    found = re.search(r"^Pss:\s+(\d+)", rollup, flags=re.MULTILINE)
    return int(found.group(1)) if found else 0
