"""What the user sees while things take their time: one line per step, and a live line on a terminal."""

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager


def say(text: str = "") -> None:
    print(text, flush=True)


def warn(text: str) -> None:
    print(f"warning: {text}", file=sys.stderr, flush=True)


@contextmanager
def step(doing: str) -> Iterator[None]:
    """Name a piece of work before it starts, and how long it took once it is done."""
    print(f"  {doing} … ", end="", flush=True)
    started = time.monotonic()
    try:
        yield
    except BaseException:
        print("failed", flush=True)
        raise
    print(f"{time.monotonic() - started:.1f} s", flush=True)


class LiveLine:
    """One line that changes in place on a terminal, and stays silent elsewhere."""

    def __init__(self) -> None:
        self._on = sys.stdout.isatty()
        self._width = 0

    def show(self, text: str) -> None:
        if self._on:
            print(f"\r  {text}".ljust(self._width), end="", flush=True)
            self._width = len(text) + 3

    def clear(self) -> None:
        if self._on and self._width:
            print("\r" + " " * self._width + "\r", end="", flush=True)
            self._width = 0


def table(rows: list[tuple[str, ...]], headings: tuple[str, ...]) -> str:
    """Columns as wide as their widest cell; the last one may be long."""
    widths = [max(len(row[column]) for row in (headings, *rows)) for column in range(len(headings))]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) for row in (headings, *rows)]
    lines.insert(1, "  ".join("─" * width for width in widths))
    return "\n".join(line.rstrip() for line in lines)


def confirm(question: str, *, yes: bool) -> bool:
    """Ask, unless --yes answered already. Nobody at the terminal means no."""
    if yes:
        return True
    if not sys.stdin.isatty():
        return False
    return input(f"{question} [y/N] ").strip().lower() in ("y", "yes")
