"""Every folder of tests/executor_worker/verdicts, against a real runner, in every way one can be run.

What came of an attack is judged from outside: by the supervisor's facts, by baits nobody may touch, by who is
alive afterwards, and by the next run. A program says CAME THROUGH where only it can know. Adding a folder adds a test.
"""

from __future__ import annotations

import json
import os
import shutil
import threading
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from executor_worker.outcome import Outcome
from executor_worker.runner.baits import Baits
from executor_worker.runner_client import RunnerClient
from executor_worker.verdict import judge
from service_kit.messages import Limits
from tests.executor_worker.runner.conftest import Way, make_runner
from tests.executor_worker.runner.running import Runner
from tests.executor_worker.waiting import eventually

VERDICTS = Path(__file__).parents[1] / "verdicts"
ATTACKS = sorted(folder.name for folder in VERDICTS.iterdir() if (folder / "expect.toml").exists())
ENVIRONMENT_SECRET = "it-stands-in-the-environment-5b1f"
AT_REST = 2 + 2  # Processes of a runner with two slots: supervisor, warm process, and the two who wait for a job.
IN_TIME_MS = 1000  # What is ended, is ended so soon after its limit.


@pytest.fixture(scope="module")
def attacked(way: Way) -> Iterator[Runner]:
    """A runner that was started, carelessly, with a secret in its environment."""
    runner = make_runner(way)
    runner.start(DATABASE_PASSWORD=ENVIRONMENT_SECRET)
    runner.wait_until_listening()
    yield runner
    runner.stop()


@pytest.fixture
def baits(tmp_path: Path) -> Iterator[Baits]:
    with Baits(str(tmp_path)) as baits:
        yield baits


@pytest.mark.parametrize("name", ATTACKS)
def test_attack(attacked: Runner, way: Way, baits: Baits, name: str) -> None:
    expected = tomllib.loads((VERDICTS / name / "expect.toml").read_text())
    limits = Limits(**({"cpu_ms": 5_000, "wall_ms": 10_000} | expected.get("limits", {})))
    family = set(attacked.processes())
    space_before = shutil.disk_usage("/tmp").free

    outcome = run_attack(attacked, name, targets(attacked, baits), limits)

    judge_facts(outcome, expected, limits)
    assert judge(outcome, limits).status in listed(expected["status"]), outcome
    judge_words(outcome, expected, baits)
    assert baits.caught() == []
    assert attacked.process.pid in family & set(attacked.processes())
    assert space_before - shutil.disk_usage("/tmp").free < expected.get("most_box_mib", 64) << 20
    assert_clean(attacked)


def run_attack(runner: Runner, name: str, targets: dict[str, Any], limits: Limits) -> Outcome:
    job = {
        "source": (VERDICTS / name / "submission.py").read_text(),
        "filename": "main.py",
        "stdin": json.dumps(targets) + "\n",
    }
    return RunnerClient(runner.path).run(job, limits, threading.Event())


def targets(runner: Runner, baits: Baits) -> dict[str, Any]:
    """What an attack is told, so that it need not search."""
    return baits.description | {
        "pids": [os.getpid(), *runner.processes()],
        "runner_socket": runner.path,
        "environment_secret": ENVIRONMENT_SECRET,
    }


def judge_facts(outcome: Outcome, expected: dict[str, Any], limits: Limits) -> None:
    facts = outcome.facts
    assert outcome.failure is None
    assert facts is not None
    if "killed" in expected:
        assert facts.killed == expected["killed"]
    if "signal" in expected:
        assert facts.signal == expected["signal"]
    assert facts.cpu_ms <= limits.cpu_ms + IN_TIME_MS
    assert facts.wall_ms <= limits.wall_ms + IN_TIME_MS
    assert facts.memory_kib <= expected.get("most_memory_kib", limits.memory_kib + 32 * 1024)
    assert facts.isolation != "FORGED"


def judge_words(outcome: Outcome, expected: dict[str, Any], baits: Baits) -> None:
    said = json.dumps([*outcome.account.finished.values(), *outcome.account.console.values()])
    for words in expected.get("prints", []):
        assert words in said
    assert "CAME THROUGH" not in said
    assert Path(baits.description["secret"]).read_text() not in said
    assert f"{ENVIRONMENT_SECRET}\n" not in said.replace("\\n", "\n")


def assert_clean(runner: Runner) -> None:
    """The next one notices nothing, and nothing is left running of the one before."""
    told = runner.run("import os; print(sorted(n for n in os.listdir() if n != 'main.py'))")
    assert told.printed == "[]\n"
    assert told.is_done
    eventually(lambda: len(runner.processes()) == AT_REST, f"{AT_REST} processes", log=lambda: str(runner.processes()))


def listed(value: str | list[str]) -> list[str]:
    return [value] if isinstance(value, str) else value
