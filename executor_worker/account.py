"""The claims channel: what a student's process may say, and how an Account grows from it.

Whoever runs in that process can write here whatever it likes. A frame that has not exactly the agreed
shape, or comes out of turn, raises Malformed; nothing of it is kept. The frames before it stay.
"""

from __future__ import annotations

from typing import Any

from executor_worker.outcome import Account
from executor_worker.strict_json import (
    Malformed,
    listed,
    mapped,
    milliseconds,
    one_of,
    optional,
    parse,
    record,
    text,
    whole,
)

MOST_CELLS = 1000
MOST_CONSOLE_PIECES = 200_000
CELL_STATUSES = ("ok", "error", "not_run", "stopped", "disabled", "interrupted")
CONSOLE_CHANNELS = ("stdout", "stderr", "stdin", "media")

# Wide enough for whatever an honest program can bring about (a class name of a thousand letters, two cells
# that print a character each in turn); what all of it may come to is the runner_client's budget of bytes.
_id = text(64)
_word = text(10_000)
_message = text(1 << 20)
_long = text(8 << 20)
_names = listed(_word, 200_000)
_line = optional(whole(-1, 10_000_000))  # Python's parser knows a column -1.
_ERROR = record(
    {"type": _word, "message": _message, "line": _line},
    {"traceback": optional(_message), "cell_id": optional(_id), "name": optional(_word), "column": _line},
)
_CONSOLE = record({"channel": one_of(CONSOLE_CHANNELS), "text": _long})
_GRAPH = record(
    {
        "edges": listed(listed(_id, 2), MOST_CELLS**2),
        "defs": mapped(_id, _names, MOST_CELLS),
        "refs": mapped(_id, _names, MOST_CELLS),
    }
)

FRAMES = {
    "notebook": record(
        {
            "kind": one_of(("notebook", "script")),
            "cells": listed(record({"id": _id, "name": _word, "code": _long, "line": _line}), MOST_CELLS),
            "graph": _GRAPH,
        }
    ),
    "cell": record(
        {
            "id": _id,
            "status": one_of(CELL_STATUSES),
            "outputs": listed(record({"mimetype": _word, "data": _long}), 100_000),
            "console": listed(_CONSOLE, MOST_CONSOLE_PIECES),
            "error": optional(_ERROR),
            "time_ms": optional(milliseconds),
        }
    ),
    "console": record({"id": _id, "channel": one_of(CONSOLE_CHANNELS), "text": _long}),
    "invalid": record({"error": _ERROR, "errors": listed(_ERROR, MOST_CELLS)}),
    "done": record({}),
}


class AccountReader:
    """Turns frames into an Account, and counts the bytes the program printed."""

    def __init__(self) -> None:
        self.account = Account()
        self.printed_bytes = 0
        self._printed: dict[str, int] = {}  # By unfinished cell: its last frame repeats what its increments said.

    def take(self, raw: bytes) -> None:
        """Add one frame. Raises Malformed, with the account as it was before."""
        frame = parse(raw)
        kind = frame.get("type") if type(frame) is dict else None
        if type(kind) is not str or kind not in FRAMES:
            raise Malformed("a frame of unknown type")
        if self.account.done:
            raise Malformed("a frame after the last one")
        getattr(self, f"_take_{kind}")(FRAMES[kind](frame))

    def _take_notebook(self, frame: dict[str, Any]) -> None:
        if self.account.kind is not None or self.account.invalid is not None:
            raise Malformed("the cells announced twice")
        ids = {cell["id"] for cell in frame["cells"]}
        if len(ids) != len(frame["cells"]):
            raise Malformed("two cells with one id")
        graph = frame["graph"]
        for edge in graph["edges"]:
            if len(edge) != 2:
                raise Malformed("an edge without two ends")
        if not ids.issuperset([*graph["defs"], *graph["refs"], *(end for edge in graph["edges"] for end in edge)]):
            raise Malformed("a graph of cells that are not there")
        self.account.kind, self.account.cells, self.account.graph = frame["kind"], frame["cells"], graph
        self._printed = dict.fromkeys(ids, 0)

    def _take_cell(self, frame: dict[str, Any]) -> None:
        already = self._printed_by(frame["id"])
        self.account.finished[frame["id"]] = frame
        self.account.console.pop(frame["id"], None)
        del self._printed[frame["id"]]
        self.printed_bytes += max(0, sum(len(piece["text"].encode()) for piece in frame["console"]) - already)

    def _take_console(self, frame: dict[str, Any]) -> None:
        already = self._printed_by(frame["id"])
        pieces = self.account.console.setdefault(frame["id"], [])
        if len(pieces) >= MOST_CONSOLE_PIECES:
            raise Malformed("too many pieces of console")
        size = len(frame["text"].encode())
        pieces.append({"channel": frame["channel"], "text": frame["text"]})
        self._printed[frame["id"]] = already + size
        self.printed_bytes += size

    def _take_invalid(self, frame: dict[str, Any]) -> None:
        if self.account.invalid is not None or self.account.finished:
            raise Malformed("an invalid program that ran")
        self.account.invalid = frame

    def _take_done(self, frame: dict[str, Any]) -> None:
        self.account.done = True

    def _printed_by(self, cell_id: str) -> int:
        """What this cell has printed so far. Malformed unless it was announced and is not finished yet."""
        if cell_id not in self._printed:
            raise Malformed("a cell that was not announced, or is finished already")
        return self._printed[cell_id]
