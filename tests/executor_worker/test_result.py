"""What is stored of a run."""

import signal
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from executor_worker.outcome import Account, Facts, Outcome
from executor_worker.result import KEPT_BYTES, lighter_and_lighter, result_of
from executor_worker.verdict import judge
from service_kit.messages import Limits
from tests.executor_worker.runner_double import ERROR, cell, notebook
from tests.executor_worker.test_verdict import WELL

LIMITS = Limits(cpu_ms=2000, wall_ms=4000, memory_kib=100_000, output_bytes=100)
AT = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)


def result(account: Account, facts: Facts = WELL, **more: Any) -> dict[str, Any]:
    outcome = Outcome(account, facts, started_at=AT, finished_at=AT, **more)
    return result_of(outcome, judge(outcome, LIMITS), LIMITS)


def told(announced: dict[str, Any], *finished: dict[str, Any], **more: Any) -> Account:
    cells = {one["id"]: {key: one[key] for key in one if key != "type"} for one in finished}
    return Account("notebook", announced["cells"], announced["graph"], cells, **({"done": True} | more))


def test_measures_are_the_supervisors_facts():
    stored = result(told(notebook("a"), cell("a", time_ms=99_999)))

    assert (stored["run_time"], stored["wall_time"], stored["memory_used"]) == (10, 20, 3000)
    assert (stored["memory_source"], stored["isolation"]) == ("rusage", "processes")
    assert stored["started_at"] == stored["finished_at"] == "2026-11-23T12:00:00+00:00"


def test_output_is_joined_by_channel_in_the_order_the_cells_ran():
    stored = result(told(notebook("a", "b"), cell("b", "1", "x"), cell("a", "2", "y")))

    assert (stored["stdout"], stored["stderr"]) == ("12", "xy")


def test_cells_stand_in_the_order_of_the_file_with_their_code():
    stored = result(told(notebook("a", "b"), cell("b"), cell("a", "2", time_ms=3.25)))

    assert [one["id"] for one in stored["cells"]] == ["a", "b"]
    assert stored["cells"][0] == {
        "id": "a",
        "name": "_",
        "code": "# a",
        "line": 1,
        "status": "ok",
        "outputs": [],
        "console": [{"channel": "stdout", "text": "2"}],
        "error": None,
        "time_ms": 3.25,
    }


def test_output_beyond_the_limit_is_cut_at_a_whole_character():
    stored = result(told(notebook("a"), cell("a", "x" * 99 + "жж")), flooded=True)

    assert stored["stdout"] == "x" * 99
    assert stored["cells"][0]["console"][0]["text"] == "x" * 99
    assert stored["status"] == "output_limit_exceeded"


def test_the_cell_cut_short_is_named_and_keeps_what_it_printed():
    account = told(notebook("a", "b", "c"), cell("a"), done=False)
    account.console["b"] = [{"channel": "stdout", "text": "so far"}]

    stored = result(account, replace(WELL, exit_code=None, signal=signal.SIGKILL, killed="cpu"))

    assert [one["status"] for one in stored["cells"]] == ["ok", "interrupted", "not_run"]
    assert stored["stdout"] == "so far"
    assert stored["error"]["cell_id"] == "b"


def test_a_silent_cell_cut_short_is_found_by_the_graph():
    # c hands on to a: so b, which waits for nobody, is the first to run, then c, then a.
    account = told(notebook("a", "b", "c", edges=[("c", "a")]), cell("b"), done=False)

    stored = result(account, replace(WELL, exit_code=None, signal=signal.SIGKILL, killed="cpu"))

    assert {one["id"]: one["status"] for one in stored["cells"]} == {"a": "not_run", "b": "ok", "c": "interrupted"}


def test_a_program_that_never_ran_shows_its_cells_as_not_run():
    invalid = {"error": ERROR | {"type": "cycle", "cell_id": "a"}, "errors": []}

    stored = result(told(notebook("a", "b", edges=[("a", "b"), ("b", "a")]), invalid=invalid))

    assert stored["status"] == "compilation_error"
    assert [one["status"] for one in stored["cells"]] == ["not_run", "not_run"]
    assert stored["error"]["cell_id"] == "a"


def test_our_failure_has_no_measures():
    stored = result_of(Outcome(failure="gone"), judge(Outcome(failure="gone"), LIMITS), LIMITS)

    assert stored["status"] == "internal_error"
    assert stored["run_time"] is stored["wall_time"] is stored["memory_used"] is stored["started_at"] is None
    assert stored["cells"] == []


def test_outputs_that_are_too_large_to_keep_are_left_out():
    shown = [{"mimetype": "text/html", "data": "ж" * (KEPT_BYTES // 2)}]
    stored = result(told(notebook("a"), cell("a", outputs=shown)))

    kept = next(lighter_and_lighter(stored))

    assert kept["status"] == "completed"
    assert [output["data"] for output in kept["cells"][0]["outputs"]] == [
        "The outputs of this run are too large to keep."
    ]


def test_cells_that_are_too_large_to_keep_are_left_out():
    announced = notebook("a")
    announced["cells"][0]["code"] = "x" * KEPT_BYTES
    stored = result(told(announced, cell("a")))

    assert next(lighter_and_lighter(stored))["cells"] == []


def test_a_forger_shows_nothing():
    shown = [{"mimetype": "text/html", "data": "forged"}]

    stored = result(told(notebook("a"), cell("a", outputs=shown)), violation="a frame after the last one")

    assert stored["cells"][0]["outputs"] == []
