"""Wait for a condition instead of sleeping."""

import time
from collections.abc import Callable
from typing import Any

import pytest


def eventually(question: Callable[[], Any], what: str, seconds: float = 20, log: Callable[[], str] = str) -> Any:
    """The first true answer; fails with the words, and the log if there is one, when none comes in time."""
    deadline = time.monotonic() + seconds
    while not (answer := question()):
        if time.monotonic() > deadline:
            pytest.fail(f"after {seconds} s still not: {what}\n{log()}")
        time.sleep(0.02)
    return answer
