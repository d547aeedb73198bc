"""Outcome → status: one table, read from the top; the first rule that fits decides.

Facts come first, the program's own account last: nothing a program says of itself can hide how it ended.
"""

from __future__ import annotations

import signal
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from executor_worker.outcome import Outcome
from service_kit.messages import Limits, SubmissionStatus

WROTE_INTO_CHANNEL = "the program wrote into the result channel"
NEARLY_ALL = 0.95  # A process killed by the kernel at its memory limit was measured just below it.

Error = dict[str, Any]


@dataclass(frozen=True)
class Verdict:
    status: SubmissionStatus
    error: Error | None


def judge(outcome: Outcome, limits: Limits) -> Verdict:
    """The one status this outcome earns, and the error to show with it."""
    for rule in RULES:
        if (error := rule.finds(outcome, limits)) is not None:
            return Verdict(rule.status, error)
    return Verdict(SubmissionStatus.COMPLETED, None)


# The rules. Each gives the error when it applies, else None. --------------------------------------


def _we_failed(outcome: Outcome, limits: Limits) -> Error | None:
    if outcome.failure is None and not _ended_by_nobody_we_know(outcome):
        return None
    return _error("InternalError", "The platform failed, not your program.")


def _printed_too_much(outcome: Outcome, limits: Limits) -> Error | None:
    if not outcome.flooded:
        return None
    return _error("OutputLimitExceeded", f"The program printed more than {limits.output_bytes // 1024} KiB.")


def _forged(outcome: Outcome, limits: Limits) -> Error | None:
    claims_to_be_done_without_cells = outcome.account.done and not _knows_its_cells(outcome)
    if outcome.violation is None and not claims_to_be_done_without_cells:
        return None
    return _error("ResultChannel", WROTE_INTO_CHANNEL)


def _ran_too_long(outcome: Outcome, limits: Limits) -> Error | None:
    facts = outcome.facts
    if facts is None:
        return None
    if facts.killed == "wall":
        return _error("TimeLimitExceeded", f"The program was stopped after {limits.wall_ms / 1000:g} s.")
    spent_its_cpu_time = facts.signal == signal.SIGXCPU or (
        facts.signal == signal.SIGKILL and facts.cpu_ms >= limits.cpu_ms  # A hard RLIMIT_CPU kills without a word.
    )
    if facts.killed != "cpu" and not spent_its_cpu_time:
        return None
    return _error("TimeLimitExceeded", f"The program was stopped after {limits.cpu_ms / 1000:g} s of processor time.")


def _took_too_much_memory(outcome: Outcome, limits: Limits) -> Error | None:
    facts = outcome.facts
    by_the_kernel = facts and facts.signal == signal.SIGKILL and facts.memory_kib >= NEARLY_ALL * limits.memory_kib
    message = f"The program needed more than {limits.memory_kib // 1024} MiB of memory."
    if facts and (facts.killed == "memory" or by_the_kernel):
        return _error("MemoryLimitExceeded", message)
    for error in _cell_errors(outcome):
        if error["type"] == "MemoryError":
            return {**error, "message": message}
    return None


def _cannot_run(outcome: Outcome, limits: Limits) -> Error | None:
    return outcome.account.invalid and _shown(outcome.account.invalid["error"])


def _a_cell_raised(outcome: Outcome, limits: Limits) -> Error | None:
    return next(_cell_errors(outcome), None)


def _was_killed_by_a_signal(outcome: Outcome, limits: Limits) -> Error | None:
    if outcome.facts is None or outcome.facts.signal is None:
        return None
    name = _signal_name(outcome.facts.signal)
    if outcome.facts.signal == signal.SIGSYS:
        return _error("Crash", f"the program asked the system for something that is not allowed ({name})")
    return _error("Crash", f"the program crashed ({name})")


def _ended_itself(outcome: Outcome, limits: Limits) -> Error | None:
    if outcome.facts is None:
        return None
    if outcome.facts.exit_code:
        return _error("Exit", f"the program ended itself with code {outcome.facts.exit_code}")
    if not outcome.account.done or _unfinished_cells(outcome):
        return _error("Exit", "the program ended itself")
    return None


@dataclass(frozen=True)
class Rule:
    finds: Callable[[Outcome, Limits], Error | None]
    status: SubmissionStatus


RULES = (
    Rule(_we_failed, SubmissionStatus.INTERNAL_ERROR),
    Rule(_printed_too_much, SubmissionStatus.OUTPUT_LIMIT_EXCEEDED),
    Rule(_forged, SubmissionStatus.RUNTIME_ERROR),
    Rule(_ran_too_long, SubmissionStatus.TIME_LIMIT_EXCEEDED),
    Rule(_took_too_much_memory, SubmissionStatus.MEMORY_LIMIT_EXCEEDED),
    Rule(_cannot_run, SubmissionStatus.COMPILATION_ERROR),
    Rule(_a_cell_raised, SubmissionStatus.RUNTIME_ERROR),
    Rule(_was_killed_by_a_signal, SubmissionStatus.RUNTIME_ERROR),
    Rule(_ended_itself, SubmissionStatus.RUNTIME_ERROR),
)


# What the rules ask ---------------------------------------------------------------------------------


def _ended_by_nobody_we_know(outcome: Outcome) -> bool:
    """Cancelled, or without facts, though we had no reason to hang up: the supervisor's doing, not the program's."""
    we_hung_up = outcome.flooded or outcome.violation is not None
    return not we_hung_up and (outcome.facts is None or outcome.facts.killed == "cancelled")


def _knows_its_cells(outcome: Outcome) -> bool:
    return outcome.account.kind is not None or outcome.account.invalid is not None


def _unfinished_cells(outcome: Outcome) -> bool:
    if outcome.account.invalid is not None:
        return False
    return any(cell["id"] not in outcome.account.finished for cell in outcome.account.cells)


def _cell_errors(outcome: Outcome) -> Any:
    """The errors of the failed cells, in the order of the file."""
    for cell in outcome.account.cells:
        finished = outcome.account.finished.get(cell["id"])
        if finished and finished["status"] == "error":
            error = finished["error"] or {"type": "Error", "message": "The cell failed.", "line": None}
            if not _is_a_clean_exit(error):
                yield {**_shown(error), "cell_id": cell["id"]}


def _is_a_clean_exit(error: Error) -> bool:
    """exit() and sys.exit(0) say: I am done."""
    return bool(error["type"] == "SystemExit" and error["message"] in {"", "0", "None"})


def _shown(error: Error) -> Error:
    return {key: error[key] for key in ("type", "message", "line", "cell_id") if key in error}


def _error(kind: str, message: str) -> Error:
    return {"type": kind, "message": message, "line": None}


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"
