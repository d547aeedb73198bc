"""One run, seen by the supervisor: handed to a child, held to its limits, and told of in facts when it is over."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from typing import Any

from executor_worker.runner import wire
from executor_worker.runner.loop import Loop, Timer
from executor_worker.runner.orders import Order
from executor_worker.runner.seat import Seat
from executor_worker.sandbox.folders import is_overfull
from executor_worker.sandbox.limits import Grant
from executor_worker.sandbox.sealed_root import BOX_BYTES, BOX_FILES
from executor_worker.sandbox.usage import Gone, cpu_ns, most_resident_kib, resident_bytes, usage

SHORTEST_LOOK_SECONDS = 0.005
LONGEST_LOOK_SECONDS = 0.1
LEAVE_SECONDS = 0.1  # To be gone in, for who has said that it is finished.
# A program over its limit shall see MemoryError, at its line, before it meets these harder lines.
BEYOND_MEMORY_BYTES = BOX_BYTES + (16 << 20)

_CORES = len(os.sched_getaffinity(0))

OnOver = Callable[[dict[str, Any]], None]


class Run:
    """From hand-out to the end of the process. `on_over` gets the facts, once."""

    def __init__(self, loop: Loop, seat: Seat, order: Order, on_over: OnOver) -> None:
        self._loop = loop
        self._seat = seat
        self._limits = order.limits
        self._on_over = on_over
        self._killed: str | None = None
        self._is_told = False
        self._next_look: Timer | None = None

    def begin(self, order: Order, claims: int, extras: dict[str, Any]) -> None:
        """Hand the job to the child of the seat, together with the limits it will set itself. It is ours until then.

        Raises OSError or Gone when the child has died while it waited.
        """
        before = usage(self._seat.pid)
        if not before.address_bytes:
            raise Gone  # Dying: its memory is taken from it before anybody hears of its end.
        self._resident_before = before.resident_bytes
        if self._seat.group is not None:
            self._seat.group.begin_run(self._limits.memory_kib * 1024 + BEYOND_MEMORY_BYTES)
        grant = Grant.on_top_of(before, self._limits.cpu_ms, self._limits.memory_kib)
        content = wire.handed_over(order.content)
        try:
            self._cpu_before_ns = cpu_ns(self._seat.pid)
            self._began_at = time.monotonic()
            message = {"program": order.program, "grant": grant.to_json(), "extras": extras}
            wire.say(self._seat.channel, message, [claims, content])
        finally:
            os.close(content)
        self._look_again()

    def kill(self, reason: str) -> None:
        """The first reason is the one that is told."""
        if self._killed is None:
            self._killed = reason
            self._seat.kill()

    def finished(self) -> None:
        """The program says that it has ended well. What it has used is told now, and then it is ended.

        The kernel needs several times as long to take the process apart as a small program takes to run, and
        nobody has to wait for that. A program that says so untruly loses the rest of its life, as by exit(0).
        """
        if self._killed is not None or self._is_told:
            return
        try:
            cpu_us = cpu_ns(self._seat.pid) // 1000
            memory_kib = self._memory_kib(most_resident_kib(self._seat.pid) if self._seat.group is None else 0)
        except Gone:
            return
        self._stop_looking()
        self._tell(0, None, cpu_us, memory_kib)
        # It is on its way out; the kernel is quicker with one who goes than with one who is killed.
        self._next_look = self._loop.after(LEAVE_SECONDS, self._seat.kill)

    def over(self, status: int, cpu_us: int, resident_kib: int) -> None:
        """The process is gone; this is what the kernel kept of it."""
        self._stop_looking()
        if self._is_told:
            return
        by_signal = os.WTERMSIG(status) if os.WIFSIGNALED(status) else None
        exit_code = os.WEXITSTATUS(status) if os.WIFEXITED(status) else None
        self._tell(exit_code, by_signal, cpu_us, self._memory_kib(resident_kib))

    def _tell(self, exit_code: int | None, by_signal: int | None, cpu_us: int, memory_kib: int) -> None:
        self._is_told = True
        cpu_ms = max(0, (cpu_us - self._cpu_before_ns // 1000) // 1000)
        self._on_over(
            {
                "event": "ended",
                "exit_code": exit_code,
                "signal": by_signal,
                "killed": self._killed or self._killed_by_the_kernel(by_signal, cpu_ms),
                "cpu_ms": cpu_ms,
                "wall_ms": round((time.monotonic() - self._began_at) * 1000),
                "memory_kib": memory_kib,
                "memory_source": "rusage" if self._seat.group is None else "cgroup",
                "isolation": self._seat.how.isolation,
            }
        )

    def lost(self, reason: str) -> None:
        """Nobody can say how it ended. Our fault, whatever the program did."""
        self._stop_looking()
        if self._is_told:
            return
        self._is_told = True
        self._on_over({"event": "failed", "reason": reason})

    def _killed_by_the_kernel(self, by_signal: int | None, cpu_ms: int) -> str | None:
        if by_signal != signal.SIGKILL:
            return None
        if self._seat.group is not None and self._seat.group.was_out_of_memory():
            return "memory"
        return "cpu" if cpu_ms >= self._limits.cpu_ms else None

    def _memory_kib(self, resident_kib: int) -> int:
        if self._seat.group is not None:
            return self._seat.group.peak_bytes() // 1024
        return max(0, resident_kib - self._resident_before // 1024)

    # Looking after it ------------------------------------------------------------------------------------

    def _look(self) -> None:
        try:
            excess = self._excess()
        except Gone:
            return  # Its end is being told right now.
        if excess is not None:
            self.kill(excess)
        else:
            self._look_again()

    def _excess(self) -> str | None:
        if self._cpu_left_seconds() <= 0:
            return "cpu"
        if self._wall_left_seconds() <= 0:
            return "wall"
        if self._seat.group is None:
            resident = resident_bytes(self._seat.pid) - self._resident_before
            if resident > self._limits.memory_kib * 1024 + BEYOND_MEMORY_BYTES:
                return "memory"
        if self._seat.how.isolation != "namespaces" and self._seat.acting(is_overfull, BOX_BYTES, BOX_FILES):
            return "memory"  # The box is memory in every deployment we describe, and there is no fifth word.
        return None

    def _look_again(self) -> None:
        """Soon enough to catch the limit when every core works for this program, and not sooner."""
        try:
            soonest = min(self._cpu_left_seconds() / _CORES, self._wall_left_seconds())
        except Gone:
            return
        pause = min(max(soonest, SHORTEST_LOOK_SECONDS), LONGEST_LOOK_SECONDS)
        self._next_look = self._loop.after(pause, self._look)

    def _stop_looking(self) -> None:
        if self._next_look is not None:
            self._next_look.cancel()

    def _cpu_left_seconds(self) -> float:
        used_ns = cpu_ns(self._seat.pid) - self._cpu_before_ns
        return self._limits.cpu_ms / 1000 - used_ns / 1_000_000_000

    def _wall_left_seconds(self) -> float:
        return self._limits.wall_ms / 1000 - (time.monotonic() - self._began_at)
