"""One frame after the other, whole, whichever thread sends it."""

from __future__ import annotations

import signal
import threading
from _signal import pthread_sigmask  # type: ignore[import-not-found] # signal's wrapper makes 64 enum members a call.
from collections.abc import Callable, Iterable
from typing import Any

Frame = dict[str, Any]
Send = Callable[[Frame], None]

_SIGNALS = frozenset(map(int, signal.valid_signals()))


class Outbox:
    def __init__(self, send: Send) -> None:
        self._send = send
        self._lock = threading.Lock()

    def send(self, frame: Frame) -> None:
        self.send_made(lambda: [frame])

    def send_made(self, make: Callable[[], Iterable[Frame]]) -> None:
        """Make the frames when it is their turn, and send them: nothing that is sent meanwhile can outdate them.

        A student's alarm must not go off in the middle of a frame, so it waits.
        """
        before = pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)
        try:
            with self._lock:
                for frame in make():
                    self._send(frame)
        finally:
            pthread_sigmask(signal.SIG_SETMASK, before)
