"""Keeps an eye on the runner, and tells main_service what this worker can run."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from typing import Any

from executor_worker.errors import RunnerAway
from executor_worker.languages import LANGUAGES
from executor_worker.metrics import REACHED
from executor_worker.runner_client import Hello, RunnerClient

log = logging.getLogger(__name__)

LOOK_SECONDS = 5.0
LOOK_AGAIN_SECONDS = 1.0  # While it is away.
ANNOUNCE_SECONDS = 30.0
ANNOUNCE_AGAIN_SECONDS = 2.0  # While nobody hears.


class RunnerWatch:
    """Knows whether the runner answers. `check()` it from one thread, ask it from any."""

    def __init__(self, runner: RunnerClient) -> None:
        self._runner = runner
        self._why_away: str | None = "not seen yet"
        self.hello: Hello | None = None
        REACHED.labels("runner").set(0)

    @property
    def is_well(self) -> bool:
        return self._why_away is None

    def why_not(self) -> str | None:
        """None when the runner takes jobs, else why not: a readiness check."""
        return self._why_away

    def check(self) -> None:
        """Say hello and note the answer."""
        try:
            self.hello = self._runner.hello()
        except RunnerAway as error:
            self.lost(str(error))
        else:
            if self._why_away is not None:
                log.info("runner_here", extra={"isolation": self.hello.isolation, "slots": self.hello.slots})
            self._why_away = None
            REACHED.labels("runner").set(1)

    def lost(self, reason: str) -> None:
        """Somebody who needed the runner did not find it. No job is taken until `check` does."""
        if self._why_away is None:
            log.warning("runner_away", extra={"reason": reason})
        self._why_away = reason
        REACHED.labels("runner").set(0)


class Presence:
    """Two threads: one watches the runner, one announces the worker to main_service as long as it can run things."""

    def __init__(self, watch: RunnerWatch, announce: Callable[[dict[str, Any]], bool], slots: int) -> None:
        self._watch = watch
        self._announce = announce
        self._slots = slots
        self._ended = threading.Event()
        self._threads = [
            threading.Thread(target=self._look, name="runner-watch", daemon=True),
            threading.Thread(target=self._tell, name="announcer", daemon=True),
        ]

    def start(self) -> None:
        self._watch.check()
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        self._ended.set()

    def _look(self) -> None:
        while not self._ended.wait(LOOK_SECONDS if self._watch.is_well else LOOK_AGAIN_SECONDS):
            self._watch.check()

    def _tell(self) -> None:
        pause = 0.0
        while not self._ended.wait(pause):
            hello = self._watch.hello if self._watch.is_well else None
            was_heard = hello is not None and self._announce(description(hello, self._slots))
            pause = ANNOUNCE_SECONDS if was_heard else ANNOUNCE_AGAIN_SECONDS


def description(hello: Hello, slots: int) -> dict[str, Any]:
    """What GET /languages may say of this worker: the languages, as the runner's own installation has them."""
    languages = [
        {
            "id": language.id,
            "label": language.label,
            "version": hello.python,
            "template": language.template,
            "packages": hello.packages,
        }
        for language in LANGUAGES.values()
    ]
    return {"languages": languages, "slots": slots, "isolation": hello.isolation, "marimo": hello.marimo}
