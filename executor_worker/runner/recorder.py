"""Hears how a run goes and tells it, cell by cell, as frames of the claims channel."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, cast

from executor_worker.runner.cells import Cell, Ending, Problem, Program
from executor_worker.runner.complaints import about_cell, about_cells, complaint, place_of
from executor_worker.runner.console import Console, Pieces
from executor_worker.runner.errors import Teller, is_a
from executor_worker.runner.outbox import Send
from executor_worker.runner.outputs import Output, OutputBudget


class Recorder:
    """One run's Listener (kernel.py). Every cell is told exactly once: when it ends, or at the end of all."""

    def __init__(self, program: Program, console: Console, teller: Teller, send: Send) -> None:
        self._program = program
        self._console = console
        self._teller = teller
        self._send = send
        self._budget = OutputBudget()
        self._records = {cell.id: _Record(cell) for cell in program.cells}
        self._started_at = 0.0

    def announce(self, graph: dict[str, Any]) -> None:
        cells = [
            {"id": each.id, "name": each.name, "code": each.code, "line": each.line} for each in self._program.cells
        ]
        self._send({"type": "notebook", "kind": self._program.kind, "cells": cells, "graph": graph})

    def complain(self, problems: list[Problem]) -> None:
        """The program is invalid. Tell why, and tell of the cells concerned that they failed."""
        complaints = about_cells(problems, self._program)
        self._send({"type": "invalid", "error": complaints[0], "errors": complaints})
        for problem in problems:
            record = self._records[problem.cell_id]
            if not record.is_told:
                record.status = "error"
                record.error = about_cell(problem, self._program)
                self._tell(record)

    # What the kernel says.

    def cell_starts(self, cell_id: str) -> None:
        record = self._records[cell_id]
        self._budget.give_back(record.drawn + record.shown)
        record.begin_anew(has_started=True)
        self._console.begin(cell_id)
        self._console.write("stderr", self._program.advice)
        self._started_at = time.perf_counter()

    def cell_ran(self, cell_id: str) -> None:
        self._records[cell_id].time_ms = round((time.perf_counter() - self._started_at) * 1000, 3)

    def cell_shows(self, cell_id: str, mimetype: str, data: Any) -> None:
        if (record := self._records.get(cell_id)) and not record.is_told:
            self._budget.give_back(record.shown)
            record.shown = self._budget.admit(mimetype, data) if data else []

    def cell_draws(self, cell_id: str, mimetype: str, data: Any) -> None:
        if (record := self._records.get(cell_id)) and not record.is_told:
            record.drawn += self._budget.admit(mimetype, data)

    def cell_prints(self, cell_id: str, channel: str, text: str) -> None:
        self._console.write(channel, text)

    def cell_cannot_show(self, cell_id: str, error: BaseException | None, text: str) -> None:
        if error is not None:
            told = self._teller.tell(error)
            text = told["traceback"] or told["message"]
        else:
            text = text.strip().rpartition("\n")[2] + "\n"
        self._console.write("stderr", f"The value of this cell could not be shown:\n{text}")

    def cell_ends(self, cell_id: str, ending: Ending) -> None:
        record = self._records[cell_id]
        self._conclude(record, ending)
        record.printed = self._console.end()
        if not ending.may_change:
            self._tell(record)

    def cells_left_out(self, cell_ids: set[str], because_of: str) -> None:
        cause = self._records[because_of]
        for record in self._records.values():
            if record.cell.id in cell_ids and not record.is_told:
                record.status = "not_run"
                record.error = self._why_left_out(record.cell, cause)
                if not cause.may_change:
                    self._tell(record)

    def finish(self, is_disabled: Callable[[str], bool]) -> None:
        """Tell of every cell that was not told yet: held back, switched off, or never reached."""
        for record in self._records.values():
            if not record.is_told:
                if record.status is None:
                    self._conclude_unended(record, is_disabled(record.cell.id))
                self._tell(record)

    def _conclude_unended(self, record: _Record, is_disabled: bool) -> None:
        if is_disabled:
            record.status = "disabled"
        elif record.has_started:
            record.status = "interrupted"
            record.error = complaint("interrupted", "This cell was interrupted.", record.cell.line)
        else:
            record.status = "not_run"
            message = "This cell did not run, because the run was interrupted before it."
            record.error = complaint("not-run", message, record.cell.line)

    def _conclude(self, record: _Record, ending: Ending) -> None:
        record.status = ending.how
        record.may_change = ending.may_change
        if is_a(ending.error, SystemExit):
            self._conclude_exit(record, cast(SystemExit, ending.error))
        elif ending.how == "interrupted":
            record.error = complaint("interrupted", "This cell was interrupted.", record.cell.line)
        elif ending.error is not None or ending.words is not None:
            record.error = self._tell_error(ending)

    def _conclude_exit(self, record: _Record, error: SystemExit) -> None:
        """sys.exit() says "I am done", and is no failure; sys.exit(1) says the opposite, as to a shell."""
        if error.code in (None, 0):
            record.status = "ok" if self._program.kind == "script" else "stopped"
            return
        if not isinstance(error.code, int):
            self._console.write("stderr", f"{error.code}\n")  # As Python does.
        record.error = self._teller.tell(error)

    def _tell_error(self, ending: Ending) -> dict[str, Any]:
        words = ending.words
        if words is not None and ending.blamed in self._records:
            words = f"{words.rstrip()} {place_of(self._records[ending.blamed].cell)}."
        if ending.error is None:
            return complaint("Error", words or "The cell failed.")
        return self._teller.tell(ending.error, words)

    def _why_left_out(self, cell: Cell, cause: _Record) -> dict[str, Any]:
        where = place_of(cause.cell)
        if cause.status == "stopped":
            return complaint("not-run", f"This cell did not run: {where} stopped before it.", cell.line)
        what = cause.error["type"] if cause.error else "an error"
        at = f" in line {cause.error['line']}" if cause.error and cause.error["line"] else ""
        return complaint(
            "not-run", f"This cell did not run, because it needs {where}, which failed with {what}{at}.", cell.line
        )

    def _tell(self, record: _Record) -> None:
        record.is_told = True
        self._send(
            {
                "type": "cell",
                "id": record.cell.id,
                "status": record.status,
                "outputs": record.drawn + record.shown,
                "console": record.printed.listed(),
                "error": record.error,
                "time_ms": record.time_ms,
            }
        )


class _Record:
    """What is known of one cell so far."""

    def __init__(self, cell: Cell) -> None:
        self.cell = cell
        self.is_told = False
        self.begin_anew()

    def begin_anew(self, has_started: bool = False) -> None:
        """It runs; or runs again, because a mo.state it reads was set."""
        self.has_started = has_started
        self.status: str | None = None
        self.may_change = False
        self.drawn: list[Output] = []
        self.shown: list[Output] = []
        self.printed = Pieces()
        self.error: dict[str, Any] | None = None
        self.time_ms: float | None = None
