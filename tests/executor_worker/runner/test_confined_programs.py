"""What the sandbox must not change: programs come out of it as they come out without it, and as marimo means them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.executor_worker.runner.conftest import WAYS, Way, make_runner
from tests.executor_worker.runner.running import PYTHON, Runner, Told

PROGRAMS = Path(__file__).parents[1] / "notebook/programs"
TUTORIALS = "lib/*/site-packages/marimo/_tutorials/*.py"
ALL = [
    *(path for path in sorted(PROGRAMS.glob("*/*.py")) if "helper" not in path.read_text()),
    *(path for path in sorted(PYTHON.parents[1].glob(TUTORIALS)) if path.name != "__init__.py"),
]

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module", params=[WAYS[0], WAYS[-1]], ids=lambda way: way.name)
def confined(request: pytest.FixtureRequest) -> Iterator[Runner]:
    with make_runner(request.param) as runner:
        yield runner


@pytest.fixture(scope="module")
def unconfined(best_way: Way) -> Iterator[Runner]:
    with Runner("--isolation", "none", "--i-accept-unsafe-development", user=best_way.user) as runner:
        yield runner


@pytest.mark.parametrize("program", ALL, ids=lambda path: f"{path.parent.name}-{path.stem}")
def test_a_program_comes_out_the_same(confined: Runner, unconfined: Runner, program: Path) -> None:
    assert seen(run(confined, program)) == seen(run(unconfined, program))


def run(runner: Runner, program: Path) -> Told:
    source, given = program.read_text(), program.with_suffix(".in")
    filename = "notebook.py" if "marimo.App" in source else "main.py"
    return runner.run(source, given.read_text() if given.exists() else "", filename, cpu_ms=20_000, wall_ms=30_000)


def seen(told: Told) -> list[Any]:
    """What a student sees of it, without what differs from run to run."""
    cells = [claim for claim in told.claims if claim["type"] == "cell"]
    return [
        [
            (
                cell["status"],
                cell["error"] and cell["error"]["type"],
                [output["mimetype"] for output in cell["outputs"]],
                [piece["text"] for piece in cell["console"]],
            )
            for cell in cells
        ],
        [claim for claim in told.claims if claim["type"] == "invalid"],
        told.is_done,
        told.end["exit_code"],
        told.end["killed"],
    ]
