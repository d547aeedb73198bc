"""One thread that waits for whatever happens next: something to read, or a moment to come."""

from __future__ import annotations

import heapq
import itertools
import selectors
import time
from collections.abc import Callable
from typing import Any

Callback = Callable[[], None]


class Timer:
    """A call to come. `cancel` is safe at any time."""

    def __init__(self, callback: Callback) -> None:
        self._callback: Callback | None = callback

    def cancel(self) -> None:
        self._callback = None

    def fire(self) -> None:
        callback, self._callback = self._callback, None
        if callback is not None:
            callback()

    @property
    def is_pending(self) -> bool:
        return self._callback is not None


class Loop:
    """Calls back, one after the other. Nothing that is called may wait."""

    def __init__(self) -> None:
        self._selector = selectors.DefaultSelector()
        self._timers: list[tuple[float, int, Timer]] = []
        self._order = itertools.count()
        self._is_stopped = False

    def watch(self, source: Any, callback: Callback) -> None:
        """Call back whenever there is something to read, the end included."""
        self._selector.register(source, selectors.EVENT_READ, callback)

    def forget(self, source: Any) -> None:
        """Safe for what is not watched. Must come before the source is closed."""
        try:
            self._selector.unregister(source)
        except (KeyError, ValueError):
            return

    def after(self, seconds: float, callback: Callback) -> Timer:
        timer = Timer(callback)
        heapq.heappush(self._timers, (time.monotonic() + seconds, next(self._order), timer))
        return timer

    def stop(self) -> None:
        self._is_stopped = True

    def run(self) -> None:
        """Until somebody calls stop()."""
        while not self._is_stopped:
            for key, _ in self._selector.select(self._until_next_timer()):
                # An earlier callback of this round may have closed this source, and another opened its number.
                if self._selector.get_map().get(key.fd) is key:
                    key.data()
            self._fire_timers()

    def close(self) -> None:
        self._selector.close()

    def _until_next_timer(self) -> float | None:
        while self._timers and not self._timers[0][2].is_pending:
            heapq.heappop(self._timers)
        return max(0.0, self._timers[0][0] - time.monotonic()) if self._timers else None

    def _fire_timers(self) -> None:
        now = time.monotonic()
        while self._timers and self._timers[0][0] <= now:
            heapq.heappop(self._timers)[2].fire()
