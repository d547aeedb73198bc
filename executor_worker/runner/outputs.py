"""What a cell shows, made fit to travel: one mimetype and one text each, of a size that can be kept."""

from __future__ import annotations

import base64
from json import dumps, loads  # Bound now: a student may put anything in json's place.
from typing import Any

MOST_BYTES = 1 << 20  # Of one output.
MOST_BYTES_PER_RUN = 2 << 20  # Of all of them. The worker keeps no result of more than 3 MiB in all.
BUNDLE = "application/vnd.marimo+mimebundle"

Output = dict[str, str]


class OutputBudget:
    """Measures outputs against what one run may show."""

    def __init__(self, most_bytes: int = MOST_BYTES_PER_RUN) -> None:
        self._left = most_bytes

    def admit(self, mimetype: Any, data: Any) -> list[Output]:
        """The output as it can be shown; a bundle as its parts, and what is too large as a word about it."""
        return [self._admit_one(str(kind), _as_text(kind, value)) for kind, value in _parts(mimetype, data)]

    def give_back(self, outputs: list[Output]) -> None:
        """These were admitted, but something else is shown in their place."""
        self._left += sum(len(dumps(output["data"])) for output in outputs)

    def _admit_one(self, mimetype: str, text: str) -> Output:
        size = len(dumps(text))
        if size > MOST_BYTES:
            text = f"This output is too large to show: {_megabytes(size)} of {mimetype}, where 1 MB is the most."
            mimetype = "text/plain"
        elif size > self._left:
            text = f"Not shown: the outputs of one run may have {_megabytes(MOST_BYTES_PER_RUN)} in all."
            mimetype = "text/plain"
        self._left -= len(dumps(text))
        return {"mimetype": mimetype[:200], "data": text}


def _parts(mimetype: Any, data: Any) -> list[tuple[Any, Any]]:
    if mimetype != BUNDLE:
        return [(mimetype, data)]
    if isinstance(data, str):
        try:
            data = loads(data)
        except ValueError:
            return [("text/plain", data)]
    if not isinstance(data, dict):
        return [("text/plain", data)]
    return [(kind, value) for kind, value in data.items() if kind != "__metadata__"]


def _as_text(mimetype: Any, data: Any) -> str:
    if isinstance(data, bytes):
        return f"data:{mimetype};base64,{base64.b64encode(data).decode()}"
    if not isinstance(data, str):
        try:
            data = dumps(data, default=repr, allow_nan=False)
        except (TypeError, ValueError, RecursionError):
            data = repr(data)
    return str(data).encode("utf-8", "backslashreplace").decode()


def _megabytes(size: int) -> str:
    return f"{size / (1 << 20):.1f} MB"
