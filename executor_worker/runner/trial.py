"""A new warm process is tried before it serves: one of its children attacks whatever it can reach (selftest.py)."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from typing import Any

from executor_worker.runner import selftest, wire
from executor_worker.runner.baits import Baits
from executor_worker.runner.loop import Loop
from executor_worker.runner.orders import Limits, Order
from executor_worker.runner.pool import Pool
from executor_worker.runner.run import Run
from executor_worker.runner.warm import WarmProcess
from executor_worker.sandbox.box import Confinement
from executor_worker.sandbox.usage import Gone

LIMITS = Limits(cpu_ms=5_000, wall_ms=10_000, memory_kib=32 * 1024, output_bytes=1)

OnVerdict = Callable[[list[str]], None]


class Trial:
    """One child, one run. `on_verdict` gets what came through; an empty list is a pass."""

    def __init__(
        self, loop: Loop, how: Confinement, seat: int, process: WarmProcess, on_verdict: OnVerdict, baits: Baits
    ) -> None:
        self.pool = Pool(loop, how, [seat], 1, None, self)
        self._loop = loop
        self._how = how
        self._on_verdict = on_verdict
        self._is_over = False
        self._baits = baits
        self._baits.__enter__()
        self._hear_from, self._claims = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        self.pool.draw_from(process)

    def abandon(self) -> None:
        """Without a verdict: the process that was tried is no more."""
        self._on_verdict = lambda _: None
        self._end([])

    # What the pool tells ---------------------------------------------------------------------------------

    def seats_have_changed(self) -> None:
        if self._is_over or (seat := self.pool.take()) is None:
            return
        order = Order(json.dumps({"job": {}}).encode(), LIMITS, "selftest")
        run = Run(self._loop, seat, order, self._judge)
        try:
            run.begin(order, self._claims, {"bait": self._bait(seat.number)})
        except (OSError, Gone) as error:
            self._end([f"the child was gone before it could be tried ({error})"])
            return
        self.pool.hand_out(seat, run)

    def pool_is_broken(self, reason: str) -> None:
        self._end([f"no child could be made: {reason}"])

    # The verdict -------------------------------------------------------------------------------------------

    def _bait(self, seat: int) -> dict[str, Any]:
        return self._baits.description | {
            "box": self._how.folder_of(seat),
            "has_mounted_box": self._how.isolation == "namespaces",
            "memory_bytes": LIMITS.memory_kib * 1024,
        }

    def _judge(self, facts: dict[str, Any]) -> None:
        reports = self._reports()
        unheard = selftest.expected(self._how.isolation == "namespaces") - {each["attack"] for each in reports}
        self._end(
            [
                *(f"{each['attack']}: {each['came_through']}" for each in reports if each["came_through"] is not None),
                *(f"somebody reached the bait {name}" for name in self._baits.caught()),
                *([f"not heard of: {', '.join(sorted(unheard))} ({facts})"] if unheard else []),
            ]
        )

    def _reports(self) -> list[dict[str, Any]]:
        """What the child said, all of it by now: a pipe holds more than that."""
        said = os.read(self._hear_from, 1 << 16)
        reports = []
        while said:
            (length,) = wire.LENGTH.unpack_from(said)
            reports.append(json.loads(said[wire.LENGTH.size : wire.LENGTH.size + length]))
            said = said[wire.LENGTH.size + length :]
        return reports

    def _end(self, came_through: list[str]) -> None:
        if self._is_over:
            return
        self._is_over = True
        self._baits.__exit__()
        os.close(self._hear_from)
        os.close(self._claims)
        self.pool.close()
        self._on_verdict(came_through)
