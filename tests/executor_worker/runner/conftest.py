"""Runners in every way this system lets one be run, started once; who may start what is found out here."""

import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from executor_worker.sandbox import privileges
from tests.executor_worker.runner.running import PYTHON, Runner

ORDINARY_USER = 65_533


@dataclass(frozen=True)
class Way:
    """Who starts the runner, and how it then confines."""

    name: str
    isolation: str
    user: int | None
    prefix: tuple[str, ...] = ()


IS_ROOT = os.geteuid() == 0
# All that a container has to have: cap_drop ALL, cap_add SETUID and SETGID.
LEAST_PRIVILEGE = ("setpriv", "--bounding-set=-all,+setuid,+setgid", "--inh-caps=-all")
MAY_MOUNT = privileges.has_capability(privileges.CAP_SYS_ADMIN)
WAYS = [
    *([Way("root-namespaces", "namespaces", None)] if IS_ROOT and MAY_MOUNT else []),
    *([Way("root-processes", "processes", None)] if IS_ROOT else []),
    *([Way("root-least-privilege", "processes", None, LEAST_PRIVILEGE)] if IS_ROOT and shutil.which("setpriv") else []),
    Way("user-namespaces", "namespaces", ORDINARY_USER if IS_ROOT else None),
    Way("user-processes", "processes", ORDINARY_USER if IS_ROOT else None),
]


def make_runner(way: Way, *arguments: str, slots: int = 2) -> Runner:
    return Runner("--isolation", way.isolation, *arguments, slots=slots, user=way.user, prefix=way.prefix)


@pytest.fixture(scope="session", params=WAYS, ids=lambda way: way.name)
def way(request: pytest.FixtureRequest) -> Way:
    if not PYTHON.exists():
        pytest.fail(f"{PYTHON} is missing: ./labs test makes it")
    way: Way = request.param
    return way


@pytest.fixture(scope="session")
def runner(way: Way) -> Iterator[Runner]:
    """One that many tests share. Whoever mistreats it starts one with `make_runner`."""
    with make_runner(way) as runner:
        yield runner


@pytest.fixture(scope="session")
def best_way() -> Way:
    """For what does not depend on the way."""
    return WAYS[0]


@pytest.fixture(scope="session")
def best_runner(best_way: Way) -> Iterator[Runner]:
    with make_runner(best_way) as runner:
        yield runner
