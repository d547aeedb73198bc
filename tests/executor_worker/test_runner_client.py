"""What a hostile program may do to its channel, and what the supervisor may do to ours."""

import struct
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from executor_worker import runner_client
from executor_worker.errors import Abandoned, RunnerAway
from executor_worker.outcome import Outcome
from executor_worker.runner_client import RunnerClient
from executor_worker.verdict import WROTE_INTO_CHANNEL, judge
from service_kit.messages import Limits, SubmissionStatus
from tests.executor_worker.runner_double import DONE, ERROR, Run, RunnerDouble, cell, frame, notebook

LIMITS = Limits(cpu_ms=2000, wall_ms=4000, memory_kib=65536, output_bytes=4096)


@pytest.fixture
def runner(tmp_path: Path) -> Iterator[RunnerDouble]:
    double = RunnerDouble(str(tmp_path / "runner.sock")).start()
    yield double
    double.stop()


@pytest.fixture
def run(runner: RunnerDouble) -> Callable[..., Outcome]:
    """Run one program to its end."""

    def run_program(program: Callable[[Run], None], abandon: threading.Event | None = None) -> Outcome:
        runner.programs["it"] = program
        job = {"source": "it", "filename": "main.py", "stdin": ""}
        return RunnerClient(runner.path).run(job, LIMITS, abandon or threading.Event())

    return run_program


def test_hello_tells_who_is_there(runner):
    hello = RunnerClient(runner.path).hello()

    assert (hello.python, hello.marimo, hello.isolation, hello.slots) == ("3.11.2", "0.25.2", "processes", 2)
    assert hello.packages == [{"name": "numpy", "version": "2.4.1"}]


def test_the_job_and_its_limits_reach_the_runner(runner, run):
    run(lambda it: it.say(notebook("a"), cell("a"), DONE))

    assert runner.runs[0].job == {"source": "it", "filename": "main.py", "stdin": ""}
    assert runner.runs[0].limits["output_bytes"] == 4096
    assert runner.runs[0].limits["claims_bytes"] == runner_client.CLAIMS_BYTES


def test_a_large_source_arrives_whole(runner):
    source = "# ж\n" * 1_000_000  # Far more than a socket's buffer holds.

    RunnerClient(runner.path).run({"source": source, "filename": "main.py", "stdin": ""}, LIMITS, threading.Event())

    assert runner.runs[0].job["source"] == source


def test_cells_and_facts_are_kept_apart_and_whole(run):
    outcome = run(lambda it: it.say(notebook("a", "b"), cell("a", "one"), cell("b", "two"), DONE))

    assert list(outcome.account.finished) == ["a", "b"]
    assert outcome.account.done
    assert outcome.facts is not None
    assert (outcome.facts.cpu_ms, outcome.facts.exit_code) == (12, 0)
    assert outcome.started_at <= outcome.finished_at


def test_frames_may_arrive_in_any_pieces(run):
    def dribble(it: Run) -> None:
        for byte in b"".join(frame(one) for one in (notebook("a"), cell("a", "жук"), DONE)):
            it.say_raw(bytes([byte]))

    assert run(dribble).account.done


def test_what_was_said_before_a_kill_is_kept(run):
    def endless(it: Run) -> None:
        it.say(
            notebook("a", "b"), cell("a", "first"), {"type": "console", "id": "b", "channel": "stdout", "text": "b…"}
        )
        it.say_raw(frame(cell("b"))[:11])  # Killed in the middle of a frame.
        it.end(exit_code=None, signal=9, killed="wall")

    outcome = run(endless)

    assert outcome.account.finished["a"]["console"] == [{"channel": "stdout", "text": "first"}]
    assert outcome.account.console == {"b": [{"channel": "stdout", "text": "b…"}]}
    assert outcome.violation is None
    assert judge(outcome, LIMITS).status is SubmissionStatus.TIME_LIMIT_EXCEEDED


def test_what_lies_in_the_pipe_when_the_end_is_stated_is_read(run):
    def say_and_end_at_once(it: Run) -> None:
        it.say(notebook("a"), cell("a", "x" * 4000), DONE)
        it.has_ended = True
        it.state({**ENDED})  # The pipe stays open, as it does when a pooled sibling holds its end too.

    outcome = run(say_and_end_at_once)

    assert outcome.account.done


ENDED = {
    "event": "ended",
    "exit_code": 0,
    "signal": None,
    "killed": None,
    "cpu_ms": 1,
    "wall_ms": 1,
    "memory_kib": 1,
    "memory_source": "rusage",
    "isolation": "processes",
}

START = notebook("a", "b")
FORGERIES = {
    "no JSON": [b"hello"],
    "no object": [b"[]"],
    "empty": [b""],
    "bad UTF-8": [b'{"type": "done\xff"}'],
    "unknown type": [{"type": "verdict", "status": "accepted"}],
    "type is no text": [{"type": ["done"]}],
    "NaN": [START, b'{"type":"cell","id":"a","status":"ok","outputs":[],"console":[],"error":null,"time_ms":NaN}'],
    "infinity": [
        START,
        b'{"type":"cell","id":"a","status":"ok","outputs":[],"console":[],"error":null,"time_ms":1e999}',
    ],
    "duplicate key": [b'{"type":"done","type":"done"}'],
    "deep list": [b"[" * 100_000],
    "deep object": [b'{"a":' * 100_000],
    "output is no text": [START, cell("a", outputs=[{"mimetype": "application/json", "data": {"deep": [1]}}])],
    "huge number": [b'{"type":"done","n":' + b"9" * 10_000 + b"}"],
    "too many values": [b'{"type":"done","n":[' + b"[]," * 1_500_000 + b"[]]}"],
    "announced twice": [START, START],
    "two cells, one id": [notebook("a", "a")],
    "too many cells": [notebook(*(str(number) for number in range(1001)))],
    "edge to nowhere": [notebook("a", edges=[("a", "z")])],
    "edge with one end": [notebook("a", edges=[("a",)])],
    "cell not announced": [START, cell("z")],
    "cell before all": [cell("a")],
    "cell finished twice": [START, cell("a"), cell("a")],
    "console of a finished cell": [START, cell("a"), {"type": "console", "id": "a", "channel": "stdout", "text": "x"}],
    "status made up": [START, cell("a", status="accepted")],
    "time is true": [START, cell("a", time_ms=True)],
    "time is negative": [START, cell("a", time_ms=-1)],
    "line is a text": [START, cell("a", status="error", error=ERROR | {"line": "1"})],
    "line is a float": [START, cell("a", status="error", error=ERROR | {"line": 1.0})],
    "console is no list": [START, cell("a", console="hello")],
    "channel made up": [START, cell("a", console=[{"channel": "verdict", "text": ""}])],
    "key missing": [START, {"type": "cell", "id": "a"}],
    "text after done": [START, DONE, cell("a")],
    "done twice": [START, DONE, DONE],
    "invalid after it ran": [START, cell("a"), {"type": "invalid", "error": ERROR, "errors": []}],
}


@pytest.mark.parametrize("frames", FORGERIES.values(), ids=FORGERIES.keys())
def test_a_forged_frame_fails_the_program_and_never_the_worker(run, frames):
    def forge(it: Run) -> None:
        it.say(*frames)
        it.wait_for_hang_up()

    outcome = run(forge)

    assert outcome.violation is not None
    verdict = judge(outcome, LIMITS)
    assert verdict.status is SubmissionStatus.RUNTIME_ERROR
    assert verdict.error is not None
    assert verdict.error["message"] == WROTE_INTO_CHANNEL
    assert outcome.facts is not None  # The supervisor's last words about the run we ended.
    assert outcome.facts.killed == "cancelled"


def test_a_frame_of_four_gigabytes_is_not_waited_for(run):
    def promise_much(it: Run) -> None:
        it.say_raw(struct.pack(">I", 2**32 - 1) + b"x")
        it.wait_for_hang_up()

    assert run(promise_much).violation == "a frame longer than agreed"


def test_frames_before_a_forged_one_are_kept(run):
    outcome = run(lambda it: (it.say(START, cell("a", "kept"), b"junk"), it.wait_for_hang_up()))

    assert list(outcome.account.finished) == ["a"]


def test_unknown_keys_are_dropped(run):
    outcome = run(lambda it: it.say(START, cell("a", score=100), cell("b"), DONE | {"status": "accepted"}))

    assert outcome.violation is None
    assert "score" not in outcome.account.finished["a"]


def test_nul_and_lone_surrogates_are_taken_out_and_pairs_stay(run):
    outcome = run(lambda it: it.say(START, cell("a", "a\0b\ud800c\U0001f600"), cell("b"), DONE))

    assert outcome.account.finished["a"]["console"][0]["text"] == "abc\U0001f600"


def test_printing_more_than_allowed_ends_the_run(run):
    def flood(it: Run) -> None:
        it.say(START)
        for _ in range(5):
            it.say({"type": "console", "id": "a", "channel": "stdout", "text": "x" * 1000})
        it.wait_for_hang_up()

    outcome = run(flood)

    assert outcome.flooded
    assert judge(outcome, LIMITS).status is SubmissionStatus.OUTPUT_LIMIT_EXCEEDED


def test_a_cell_that_repeats_its_increments_is_counted_once(run):
    text = "x" * 3000  # Twice that would be too much.
    said = {"type": "console", "id": "a", "channel": "stdout", "text": text}

    assert not run(lambda it: it.say(START, said, cell("a", text), cell("b"), DONE)).flooded


def test_more_bytes_than_the_budget_end_the_run_however_they_are_shaped(run):
    def flood(it: Run) -> None:
        it.say(notebook(*(str(number) for number in range(100))))
        picture = [{"mimetype": "image/png", "data": "x" * 200_000}]
        try:
            for number in range(100):
                it.say(cell(str(number), outputs=picture))
        except BrokenPipeError:
            pass
        it.wait_for_hang_up()

    outcome = run(flood)

    assert outcome.flooded


def test_nobody_at_the_socket_is_told_apart_from_a_failed_run(tmp_path):
    with pytest.raises(RunnerAway):
        RunnerClient(str(tmp_path / "nobody.sock")).run({}, LIMITS, threading.Event())


@pytest.mark.parametrize(
    "supervise",
    [
        lambda it: it.state({"event": "failed", "reason": "no child could be made"}),
        lambda it: it.state({"event": "gone"}),
        lambda it: it.state(b"nonsense"),
        lambda it: it.state({**ENDED, "cpu_ms": -1}),
        lambda it: it.state({**ENDED, "killed": "by the student"}),
        lambda it: it._control.shutdown(2),
    ],
    ids=["failed", "unknown event", "nonsense", "negative time", "unknown reason", "hung up"],
)
def test_whatever_goes_wrong_with_the_supervisor_is_our_fault(run, supervise):
    def broken(it: Run) -> None:
        it.has_ended = True
        supervise(it)

    outcome = run(broken)

    assert outcome.failure
    assert judge(outcome, LIMITS).status is SubmissionStatus.INTERNAL_ERROR


def test_a_supervisor_that_never_ends_the_run_is_not_waited_for(run, monkeypatch):
    monkeypatch.setattr(runner_client, "OVERTIME_SECONDS", -3.5)  # Of 4 s wall time: so 0.5 s after the start.
    started = time.monotonic()

    outcome = run(lambda it: (it.say(START), it.wait_for_hang_up()))

    assert outcome.failure == "the runner did not end the run in time"
    assert time.monotonic() - started < 4


def test_a_run_is_given_up_at_once_when_the_worker_must_go(runner, run):
    abandon = threading.Event()

    def endless(it: Run) -> None:
        it.say(START)
        abandon.set()
        it.wait_for_hang_up()

    with pytest.raises(Abandoned):
        run(endless, abandon)
    deadline = time.monotonic() + 5
    while not runner.runs[0].was_hung_up and time.monotonic() < deadline:
        time.sleep(0.01)
    assert runner.runs[0].was_hung_up
