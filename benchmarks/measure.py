"""Timing in interleaved rounds, and a table that puts ratios first."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass, field


def interleave(
    ways: dict[str, Callable[[], None]], rounds: int, before_each: Callable[[], None] = lambda: None
) -> dict[str, list[float]]:
    """Milliseconds of each way, one of each per round, after three rounds of warm-up."""
    times: dict[str, list[float]] = {name: [] for name in ways}
    for number in range(rounds + 3):
        for name, way in ways.items():
            before_each()
            started = time.perf_counter()
            way()
            if number >= 3:
                times[name].append((time.perf_counter() - started) * 1000)
    return times


@dataclass
class Table:
    """One comparison; the first way is the yardstick."""

    title: str
    times: dict[str, list[float]]
    notes: list[str] = field(default_factory=list)

    def markdown(self) -> str:
        yardstick = statistics.median(next(iter(self.times.values())))
        lines = ["", f"## {self.title}", "", "| | × yardstick (p50) | p50 ms | p95 ms | min ms | n |"]
        lines += ["|---|---|---|---|---|---|"]
        for name, times in self.times.items():
            p50, p95 = statistics.median(times), statistics.quantiles(times, n=20)[-1]
            lines.append(
                f"| {name} | **{p50 / yardstick:.2f}** | {p50:.1f} | {p95:.1f} | {min(times):.1f} | {len(times)} |"
            )
        return "\n".join([*lines, "", *(f"- {note}" for note in self.notes)])
