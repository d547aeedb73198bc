"""`python -m benchmarks`: how fast the platform is beside a bare Python, as ratios taken in one run.

Rounds are interleaved (bare, ours, bare, ours, …), so that a machine that is slow for a while is slow for both.
Every answer is checked; a wrong one ends the benchmark. Writes benchmarks/RESULTS.md.
"""

from __future__ import annotations

import argparse
import os
import platform
import subprocess
import tempfile
from datetime import UTC, datetime
from pathlib import Path

from benchmarks.measure import Table, interleave
from benchmarks.platform_stack import PlatformStack
from benchmarks.runner_process import HELLO_NOTEBOOK, PANDAS_NOTEBOOK, RunnerProcess

ROOT = Path(__file__).resolve().parents[1]
BARE_PYTHON = "/usr/bin/python3"


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--rounds", type=int, default=100, help="rounds of each comparison (default 100)")
    parser.add_argument("--print", action="store_true", help="print the results, leave RESULTS.md alone")
    arguments = parser.parse_args()

    load_before = os.getloadavg()[0]
    tables = [runner_alone(arguments.rounds), full_path(arguments.rounds)]
    text = report(tables, load_before)
    print(text)
    if not arguments.print:
        (ROOT / "benchmarks" / "RESULTS.md").write_text(text)


def bare() -> None:
    """The yardstick: a fresh interpreter that does nothing."""
    subprocess.run([BARE_PYTHON, "-c", "pass"], check=True)


def runner_alone(rounds: int) -> Table:
    with tempfile.TemporaryDirectory() as folder, RunnerProcess(ROOT, Path(folder)) as runner:
        ways = {
            "`python3 -c pass`": bare,
            "runner: hello notebook": lambda: runner.run_and_check(HELLO_NOTEBOOK, "hello\n"),
            "runner: notebook that imports pandas": lambda: runner.run_and_check(PANDAS_NOTEBOOK, "6\n"),
        }
        table = Table("Runner alone, sandbox on", interleave(ways, rounds))
        table.notes += [f"Isolation: {runner.hello.isolation}; memory measured by {runner.hello.memory_source}."]
        table.notes += [f"Sustained, 2 clients: {runner.runs_per_second(HELLO_NOTEBOOK):.0f} hello runs/s."]
        return table


def full_path(rounds: int) -> Table:
    with tempfile.TemporaryDirectory() as folder, PlatformStack(ROOT, Path(folder) / "state") as stack:
        ways = {
            "`python3 -c pass`": bare,
            "`POST /api/submissions` → 202": stack.only_post,
            "`POST` → result readable": stack.post_and_wait,
        }
        stack.let_it_settle()
        table = Table("The whole way, idle machine", interleave(ways, rounds, before_each=stack.wait_until_idle))
        table.notes += [f"`./labs up --detach` until ready: {stack.seconds_to_ready:.1f} s."]
        table.notes += [f"Idle memory of all processes (PSS): {stack.idle_memory_mib():.0f} MiB."]
        burst = stack.burst(200)
        table.notes += [
            f"Burst of {burst.count} submissions: all answered 202 in {burst.seconds_to_accept:.1f} s, all final in "
            f"{burst.seconds_to_finish:.1f} s ({burst.count / burst.seconds_to_finish:.0f}/s); every one checked."
        ]
        return table


def report(tables: list[Table], load_before: float) -> str:
    head = [
        "# Results",
        "",
        "Written by `.venv/bin/python -m benchmarks`. Ratios first: the machine is shared and its speed drifts.",
        "",
        f"{datetime.now(UTC):%Y-%m-%d} · {os.cpu_count()} cores · Python {platform.python_version()} · "
        f"load average {load_before:.2f} before, {os.getloadavg()[0]:.2f} after.",
    ]
    return "\n".join([*head, *(table.markdown() for table in tables)]) + "\n"


if __name__ == "__main__":
    main()
