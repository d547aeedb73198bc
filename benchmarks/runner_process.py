"""A real runner process, asked over its socket as the worker asks it."""

from __future__ import annotations

import subprocess
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Event
from types import TracebackType

from executor_worker.errors import RunnerAway
from executor_worker.runner_client import RunnerClient
from local_stack.environments import notebook_python
from service_kit.messages import Limits

HELLO_NOTEBOOK = """import marimo

app = marimo.App()


@app.cell
def _():
    print("hello")
    return


if __name__ == "__main__":
    app.run()
"""
PANDAS_NOTEBOOK = HELLO_NOTEBOOK.replace('print("hello")', "import pandas as pd\n    print(pd.Series([1, 2, 3]).sum())")


class RunnerProcess:
    """Starts a runner with its self-test and full sandbox, ends it at the end."""

    def __init__(self, root: Path, folder: Path) -> None:
        folder.chmod(0o755)
        self._socket = folder / "runner.sock"
        self._command = [
            str(notebook_python()),
            "-I",
            str(root / "executor_worker" / "runner" / "__main__.py"),
            "--socket",
            str(self._socket),
            "--slots",
            "2",
        ]
        self._client = RunnerClient(str(self._socket))

    def __enter__(self) -> RunnerProcess:
        self._process = subprocess.Popen(self._command, env={}, stderr=subprocess.DEVNULL)
        deadline = time.monotonic() + 30
        while True:
            try:
                self.hello = self._client.hello()
                return self
            except RunnerAway:
                if self._process.poll() is not None or time.monotonic() > deadline:
                    raise
                time.sleep(0.05)

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        self._process.terminate()
        self._process.wait(20)

    def run_and_check(self, source: str, expected: str) -> None:
        job = {"source": source, "filename": "notebook.py", "stdin": ""}
        account = self._client.run(job, Limits(), Event()).account
        printed = "".join(piece["text"] for cell in account.finished.values() for piece in cell["console"])
        if not account.done or printed != expected:
            raise SystemExit(f"wrong answer: {printed!r} instead of {expected!r}")

    def runs_per_second(self, source: str, clients: int = 2, runs: int = 200) -> float:
        started = time.perf_counter()
        with ThreadPoolExecutor(clients) as pool:
            list(pool.map(lambda _: self.run_and_check(source, "hello\n"), range(runs)))
        return runs / (time.perf_counter() - started)
