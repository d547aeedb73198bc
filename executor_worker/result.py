"""Outcome and verdict → the result main_service stores: cells in the order of the file, output within its limit."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from datetime import datetime
from heapq import heapify, heappop, heappush
from typing import Any

from executor_worker.outcome import Account, Outcome
from executor_worker.verdict import Verdict
from service_kit.messages import Limits

# Of one result, in the database and in every answer that shows it. What may be *read* of a run is more
# (runner_client.CLAIMS_BYTES); the runner holds honest outputs to 2 MB.
KEPT_BYTES = 3 << 20

Console = list[dict[str, str]]


def result_of(outcome: Outcome, verdict: Verdict, limits: Limits) -> dict[str, Any]:
    """The body of PATCH …/result, without the words about who sends it."""
    account, facts = outcome.account, outcome.facts
    consoles = _within(limits.output_bytes, _consoles_as_they_came(account))
    cells = _cells(account, consoles)
    if outcome.violation is not None:  # Who writes into the channel itself shows nothing through it.
        cells = [{**cell, "outputs": []} for cell in cells]
    running = None if account.done else _running_cell(account)
    for cell in cells:
        if cell["id"] == running and facts is not None:
            cell["status"] = "interrupted"
    error = verdict.error
    if error and running and "cell_id" not in error and account.invalid is None:
        error = {**error, "cell_id": running}
    return {
        "status": verdict.status.value,
        "run_time": facts.cpu_ms if facts else None,
        "wall_time": facts.wall_ms if facts else _measured_wall_ms(outcome),
        "memory_used": facts.memory_kib if facts else None,
        "memory_source": facts.memory_source if facts else None,
        "isolation": facts.isolation if facts else None,
        "stdout": _joined("stdout", consoles.values()),
        "stderr": _joined("stderr", consoles.values()),
        "error": error,
        "cells": cells,
        "graph": account.graph,
        "started_at": _iso(outcome.started_at),
        "finished_at": _iso(outcome.finished_at),
    }


def lighter_and_lighter(result: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """The result whole, then without what the cells show, then without the cells; none of more than KEPT_BYTES.

    More than one, for a main_service that takes less. The status is the same in each: what a program shows must not
    cost it its verdict.
    """
    remark = {"mimetype": "text/plain", "data": "The outputs of this run are too large to keep."}
    cells = [{**cell, "outputs": [remark] if cell["outputs"] else []} for cell in result["cells"]]
    for lighter in (result, {**result, "cells": cells}):
        if len(json.dumps(lighter, ensure_ascii=False).encode()) <= KEPT_BYTES:
            yield lighter
    yield {**result, "cells": [], "graph": {"edges": [], "defs": {}, "refs": {}}}


def _cells(account: Account, consoles: dict[str, Console]) -> list[dict[str, Any]]:
    """Every announced cell; those that never finished (a kill, an invalid program) with what is known of them."""
    unfinished: dict[str, Any] = {"status": "not_run", "outputs": [], "error": None, "time_ms": None}
    cells = []
    for cell in account.cells:
        ending = account.finished.get(cell["id"], unfinished)
        cells.append({**cell, **ending, "console": consoles.get(cell["id"], [])})
    return cells


def _consoles_as_they_came(account: Account) -> dict[str, Console]:
    """Finished cells stand in the order they ran in, which the graph decides; the one cut short comes last."""
    return {cell_id: cell["console"] for cell_id, cell in account.finished.items()} | account.console


def _within(most_bytes: int, consoles: dict[str, Console]) -> dict[str, Console]:
    """The consoles up to a total of `most_bytes`; the piece in which the limit falls is cut at a character."""
    kept: dict[str, Console] = {}
    left = most_bytes
    for cell_id, pieces in consoles.items():
        kept[cell_id] = []
        for piece in pieces:
            if left <= 0:
                break
            raw = piece["text"].encode()
            kept[cell_id].append({**piece, "text": raw[:left].decode("utf-8", "ignore")})
            left -= len(raw)
    return kept


def _joined(channel: str, consoles: Iterable[Console]) -> str:
    return "".join(piece["text"] for pieces in consoles for piece in pieces if piece["channel"] == channel)


def _running_cell(account: Account) -> str | None:
    """The cell that ran when the program was cut short: the first unfinished one in the order marimo runs them in."""
    if account.console:
        return next(iter(account.console))  # It told us itself.
    return next((cell_id for cell_id in _order_of_running(account) if cell_id not in account.finished), None)


def _order_of_running(account: Account) -> Iterable[str]:
    """Parents before children; among those that may run, the one written first."""
    position = {cell["id"]: index for index, cell in enumerate(account.cells)}
    children: dict[str, set[str]] = {cell_id: set() for cell_id in position}
    for parent, child in account.graph["edges"]:
        children[parent].add(child)
    waits_for = dict.fromkeys(position, 0)
    for heirs in children.values():
        for child in heirs:
            waits_for[child] += 1
    ready = [(position[cell_id], cell_id) for cell_id, parents in waits_for.items() if not parents]
    heapify(ready)
    while ready:
        _, cell_id = heappop(ready)
        yield cell_id
        for child in children[cell_id]:
            waits_for[child] -= 1
            if not waits_for[child]:
                heappush(ready, (position[child], child))


def _measured_wall_ms(outcome: Outcome) -> int | None:
    if outcome.started_at is None or outcome.finished_at is None:
        return None
    return round((outcome.finished_at - outcome.started_at).total_seconds() * 1000)


def _iso(moment: datetime | None) -> str | None:
    return moment.isoformat() if moment else None
