"""Outcome → status, as one table."""

import signal
from dataclasses import replace
from typing import Any

import pytest

from executor_worker.outcome import Account, Facts, Outcome
from executor_worker.verdict import judge
from service_kit.messages import Limits, SubmissionStatus
from tests.executor_worker.runner_double import ERROR, cell, notebook

LIMITS = Limits(cpu_ms=2000, wall_ms=4000, memory_kib=100_000, output_bytes=65536)
WELL = Facts(
    exit_code=0,
    signal=None,
    killed=None,
    cpu_ms=10,
    wall_ms=20,
    memory_kib=3000,
    memory_source="rusage",
    isolation="processes",
)
INVALID = {"error": ERROR | {"type": "syntax", "line": 3}, "errors": []}


def facts(**changes: Any) -> Facts:
    return replace(WELL, **changes)


def account(*finished: dict[str, Any], cells: Any = ("a", "b"), done: bool = True, **more: Any) -> Account:
    """An account of two cells; those not given ended well."""
    told = {one["id"]: one for one in finished} or {cell_id: cell(cell_id) for cell_id in cells}
    announced = notebook(*cells)
    return Account(
        kind="notebook", cells=announced["cells"], graph=announced["graph"], finished=told, done=done, **more
    )


def failed(kind: str, message: str = "no") -> Account:
    return account(cell("a", status="error", error=ERROR | {"type": kind, "message": message}), cell("b"))


def partly(**more: Any) -> Account:
    return account(cell("a"), done=False, **more)


KILLED: dict[str, Any] = {"exit_code": None, "signal": signal.SIGKILL}
ENDED_BY_US = facts(**KILLED, killed="cancelled")

# What is known, the status it earns, words of the error to show.
TABLE: dict[str, tuple[Outcome, str, str]] = {
    "all well": (Outcome(account(), WELL), "completed", ""),
    "no cells at all": (Outcome(account(cells=()), WELL), "completed", ""),
    "mo.stop is no error": (Outcome(account(cell("a", status="stopped"), cell("b")), WELL), "completed", ""),
    "disabled is no error": (Outcome(account(cell("a", status="disabled"), cell("b")), WELL), "completed", ""),
    "exit()": (Outcome(failed("SystemExit", ""), WELL), "completed", ""),
    "sys.exit(0)": (Outcome(failed("SystemExit", "0"), WELL), "completed", ""),
    "sys.exit(None)": (Outcome(failed("SystemExit", "None"), WELL), "completed", ""),
    "sys.exit(3)": (Outcome(failed("SystemExit", "3"), WELL), "runtime_error", "3"),
    # Our own fault, and nothing else is asked then.
    "the runner failed": (Outcome(failure="no child"), "internal_error", "not your program"),
    "the runner failed after an error": (Outcome(failed("ValueError"), failure="lost"), "internal_error", "platform"),
    "cancelled, not by us": (Outcome(partly(), ENDED_BY_US), "internal_error", "platform"),
    "no facts, and no reason": (Outcome(account()), "internal_error", "platform"),
    # Limits.
    "killed for CPU": (Outcome(partly(), facts(**KILLED, killed="cpu")), "time_limit_exceeded", "2 s of processor"),
    "killed for time": (Outcome(partly(), facts(**KILLED, killed="wall")), "time_limit_exceeded", "after 4 s"),
    "SIGXCPU": (Outcome(partly(), facts(exit_code=None, signal=signal.SIGXCPU)), "time_limit_exceeded", "processor"),
    "SIGKILL at the CPU limit": (Outcome(partly(), facts(**KILLED, cpu_ms=2001)), "time_limit_exceeded", "processor"),
    "killed for memory": (Outcome(partly(), facts(**KILLED, killed="memory")), "memory_limit_exceeded", "97 MiB"),
    "SIGKILL at the memory limit": (Outcome(partly(), facts(**KILLED, memory_kib=99_000)), "memory_limit_exceeded", ""),
    "MemoryError": (Outcome(failed("MemoryError", ""), WELL), "memory_limit_exceeded", "97 MiB"),
    "killed for CPU after an error": (Outcome(failed("ValueError"), facts(killed="cpu")), "time_limit_exceeded", "2 s"),
    "flooded": (Outcome(partly(), ENDED_BY_US, flooded=True), "output_limit_exceeded", "64 KiB"),
    "flooded, no last words": (Outcome(partly(), flooded=True), "output_limit_exceeded", "64 KiB"),
    "flooded, then CPU": (Outcome(partly(), facts(**KILLED, killed="cpu"), flooded=True), "output_limit_exceeded", ""),
    # Into the channel.
    "forged": (Outcome(partly(), ENDED_BY_US, violation="NaN"), "runtime_error", "result channel"),
    "forged, no last words": (Outcome(partly(), violation="NaN"), "runtime_error", "result channel"),
    "done without any cells": (Outcome(Account(done=True), WELL), "runtime_error", "result channel"),
    # Never ran.
    "syntax error": (Outcome(Account(invalid=INVALID, done=True), WELL), "compilation_error", "no"),
    "cycle, cells announced": (Outcome(account(done=True, invalid=INVALID), WELL), "compilation_error", "no"),
    # Ran, and failed.
    "a cell raised": (Outcome(failed("ValueError", "too small"), WELL), "runtime_error", "too small"),
    "an error without words": (Outcome(account(cell("a", status="error"), cell("b")), WELL), "runtime_error", "failed"),
    "crash": (Outcome(partly(), facts(exit_code=None, signal=signal.SIGSEGV)), "runtime_error", "crashed (SIGSEGV)"),
    "forbidden call": (Outcome(partly(), facts(exit_code=None, signal=signal.SIGSYS)), "runtime_error", "not allowed"),
    "kills itself": (Outcome(partly(), facts(**KILLED)), "runtime_error", "SIGKILL"),
    "unknown signal": (Outcome(partly(), facts(exit_code=None, signal=63)), "runtime_error", "signal 63"),
    "os._exit(3)": (Outcome(partly(), facts(exit_code=3)), "runtime_error", "ended itself with code 3"),
    "os._exit(0)": (Outcome(partly(), WELL), "runtime_error", "the program ended itself"),
    "os._exit(0) at once": (Outcome(Account(), WELL), "runtime_error", "the program ended itself"),
    "says done, has not run all": (Outcome(account(cell("a")), WELL), "runtime_error", "the program ended itself"),
    "says done, then crashes": (Outcome(account(), facts(exit_code=None, signal=11)), "runtime_error", "SIGSEGV"),
}  # fmt: skip


@pytest.mark.parametrize(("outcome", "status", "words"), TABLE.values(), ids=TABLE.keys())
def test_every_outcome_earns_its_status(outcome, status, words):
    verdict = judge(outcome, LIMITS)

    assert verdict.status.value == status
    if status == "completed":
        assert verdict.error is None
    else:
        assert verdict.error is not None
        assert words in verdict.error["message"]
        assert verdict.error.keys() >= {"type", "message", "line"}


def test_the_first_failing_cell_in_the_file_is_the_one_shown():
    raised = [cell(name, status="error", error=ERROR | {"message": name, "line": 7}) for name in ("b", "a")]

    verdict = judge(Outcome(account(*raised), WELL), LIMITS)

    assert verdict.error == {"type": "ValueError", "message": "a", "line": 7, "cell_id": "a"}


def test_no_outcome_earns_a_status_a_worker_may_not_report():
    earned = {status for _, status, _ in TABLE.values()}

    assert earned < {status.value for status in SubmissionStatus if status.is_final} - {"cancelled", "accepted"}
