"""What every test may ask for: a real broker and real databases, started once and clean for each test.

A fixture that only one folder needs lives in that folder.
"""

import os
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from local_stack import broker as rabbitmq
from local_stack import packages, ports, postgres
from local_stack.broker import BrokerNode
from local_stack.postgres import PostgresCluster
from tests.stack import RunningStack, labs, start


def _require(missing: str | None) -> None:
    """Skip at home with the reason; in CI a service that is not there is a failure, or nobody would notice."""
    if missing is None:
        return
    if os.environ.get("CI"):
        pytest.fail(missing, pytrace=False)
    pytest.skip(missing)


# RabbitMQ ---------------------------------------------------------------------------------------


@pytest.fixture(scope="session")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[BrokerNode]:
    """One private RabbitMQ node for the whole run. Do not stop it: `broker_node` is the one to mistreat."""
    yield from _running_node(tmp_path_factory.mktemp("broker"))


def _running_node(home: Path) -> Iterator[BrokerNode]:
    _require(rabbitmq.missing())
    node = BrokerNode(home / "node")
    try:
        node.start()
        node.wait_ready()
        yield node
    finally:
        node.stop()


@pytest.fixture(scope="session")
def _unused_vhosts() -> list[str]:
    return []


@pytest.fixture
def amqp_url(broker: BrokerNode, _unused_vhosts: list[str]) -> str:
    """The URL of an empty vhost that no other test sees."""
    if not _unused_vhosts:
        _unused_vhosts.extend(f"test-{uuid.uuid4().hex[:8]}" for _ in range(20))
        broker.add_vhosts(_unused_vhosts)
    return broker.url_for(_unused_vhosts.pop())


@pytest.fixture(scope="session")
def _mortal_node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[BrokerNode]:
    yield from _running_node(tmp_path_factory.mktemp("mortal-broker"))


@pytest.fixture
def broker_node(_mortal_node: BrokerNode) -> BrokerNode:
    """A node to stop, kill, freeze and start again; its `url` stays. Well again for the next test.

    Queues of earlier tests may still be there: use names of your own, or purge.
    """
    _mortal_node.thaw()
    if not _mortal_node.is_running:
        _mortal_node.stop()
        _mortal_node.start()
    _mortal_node.wait_ready()
    return _mortal_node


# Databases --------------------------------------------------------------------------------------


@pytest.fixture(scope="session")
def postgres_cluster() -> Iterator[PostgresCluster]:
    """One throw-away PostgreSQL for the whole run."""
    _require(postgres.missing())
    cluster = PostgresCluster()
    try:
        cluster.start()
        yield cluster
    finally:
        cluster.stop()


@pytest.fixture
def postgres_url(postgres_cluster: PostgresCluster) -> Iterator[str]:
    """The URL of an empty PostgreSQL database that no other test sees."""
    name = f"test_{uuid.uuid4().hex[:12]}"
    yield postgres_cluster.create_database(name)
    postgres_cluster.drop_database(name)


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """An empty database on each engine the services promise to work with: the test runs once for each."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'database.sqlite3'}"
    url: str = request.getfixturevalue("postgres_url")
    return url


# The whole platform -----------------------------------------------------------------------------


@pytest.fixture(scope="session")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningStack]:
    """Everything, started by `./labs up --detach` in a state folder of its own, taken down at the end."""
    _require(rabbitmq.missing())
    _require(
        None if packages.NGINX.is_there() else f"nginx is not installed: {packages.install_line([packages.NGINX])}"
    )
    state = tmp_path_factory.mktemp("stack")
    try:
        # One address registers more users here, and asks more often, than any person does.
        yield start(state, ports.choose(1)[0], RATE_LOGIN="120r/m:30", RATE_API="off")
    finally:
        labs("down", "--state", state)
