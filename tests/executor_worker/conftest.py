"""What the worker's tests share: its two neighbours as doubles, and the worker itself as a real process."""

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from executor_worker.reporter import Reporter
from tests.executor_worker.main_service_double import TOKEN, MainServiceDouble
from tests.executor_worker.queues import Queues
from tests.executor_worker.runner_double import RunnerDouble
from tests.executor_worker.waiting import eventually

CHECKOUT = Path(__file__).parents[2]


@pytest.fixture
def main_service() -> Iterator[MainServiceDouble]:
    double = MainServiceDouble().start()
    yield double
    double.stop()


@pytest.fixture
def runner(tmp_path: Path) -> Iterator[RunnerDouble]:
    double = RunnerDouble(str(tmp_path / "runner.sock")).start()
    yield double
    double.stop()


@pytest.fixture
def abandon() -> threading.Event:
    return threading.Event()


@pytest.fixture
def reporter(main_service: MainServiceDouble, abandon: threading.Event) -> Reporter:
    return Reporter(main_service.url, TOKEN, "worker-1", abandon)


@pytest.fixture
def queues(amqp_url: str) -> Iterator[Queues]:
    """The queues in a vhost of the test's own."""
    with Queues(amqp_url) as opened:
        yield opened


class WorkerProcess:
    """`python -m executor_worker`, with its log at hand."""

    def __init__(self, environment: dict[str, str], log: Path) -> None:
        self._log = log
        with log.open("wb") as output:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "executor_worker"],
                cwd=CHECKOUT,
                env={"PATH": os.environ["PATH"], "PYTHONWARNINGS": "error"} | environment,
                stdout=output,
                stderr=subprocess.STDOUT,
            )

    @property
    def log(self) -> str:
        return self._log.read_text()

    def has_logged(self, event: str, times: int = 1) -> bool:
        return self.log.count(f'"message": "{event}"') >= times

    def terminate(self) -> None:
        self.process.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()


@pytest.fixture
def start_worker(
    tmp_path: Path, main_service: MainServiceDouble, runner: RunnerDouble
) -> Iterator[Callable[..., WorkerProcess]]:
    """Start a worker at the doubles; keywords are further settings. Whatever still runs at the end is killed."""
    started: list[WorkerProcess] = []

    def start(amqp_url: str, wait: bool = True, **settings: Any) -> WorkerProcess:
        environment = {
            "AMQP_URL": amqp_url,
            "MAIN_SERVICE_URL": main_service.url,
            "SERVICE_TOKEN": TOKEN,
            "RUNNER_SOCKET": runner.path,
            "EXECUTOR_SLOTS": "2",
        }
        worker = WorkerProcess(
            environment | {name: str(value) for name, value in settings.items()},
            tmp_path / f"worker-{len(started)}.log",
        )
        started.append(worker)
        if wait:
            eventually(lambda: worker.has_logged("broker_connected"), "connected", log=lambda: worker.log)
        return worker

    yield start
    for worker in started:
        with suppress(ProcessLookupError):
            worker.kill()
