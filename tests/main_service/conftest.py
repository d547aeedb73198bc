"""An app of main_service on a migrated database, and callers with real tokens."""

import itertools
import shutil
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import flask_migrate
import psycopg
import pytest
from flask import Flask
from flask.testing import FlaskClient

from local_stack.postgres import PostgresCluster
from main_service.app import create_app
from main_service.config import Config
from main_service.extensions import db
from tests.main_service.people import SERVICE_TOKEN, Caller, KeyServer, Signer, Worker

# A port nobody listens on: refused at once, so submissions stay unsent.
NOBODY_LISTENS = "amqp://nobody:nothing@127.0.0.1:1/none"


# Callers ------------------------------------------------------------------------------------------


@pytest.fixture(scope="session")
def signer() -> Signer:
    return Signer("key-of-the-tests")


@pytest.fixture(scope="session")
def auth_url(signer: Signer) -> Iterator[str]:
    server = KeyServer()
    server.publish(signer)
    yield server.url
    server.close()


@pytest.fixture
def key_server() -> Iterator[KeyServer]:
    server = KeyServer()
    yield server
    server.close()


@pytest.fixture
def make_caller(signer: Signer) -> Callable[..., Caller]:
    ids = itertools.count(1000)

    def make(role: str = "student") -> Caller:
        user_id = next(ids)
        token = signer.token(sub=str(user_id), role=role)
        return Caller(user_id, {"Authorization": f"Bearer {token}", "X-User-Id": str(user_id)})

    return make


@pytest.fixture
def student(make_caller: Callable[..., Caller]) -> Caller:
    return make_caller()


@pytest.fixture
def stranger(make_caller: Callable[..., Caller]) -> Caller:
    return make_caller()


@pytest.fixture
def moderator(make_caller: Callable[..., Caller]) -> Caller:
    return make_caller("moderator")


# The app ------------------------------------------------------------------------------------------


@pytest.fixture(scope="session")
def settings(auth_url: str) -> dict[str, str]:
    """What the environment would say; a test's own settings come on top."""
    return {
        "APP_ENV": "testing",
        "SERVICE_TOKEN": SERVICE_TOKEN,
        "AMQP_URL": NOBODY_LISTENS,
        "AUTH_SERVICE_URL": auth_url,
    }


def migrated(url: str, settings: dict[str, str]) -> str:
    app = create_app(Config.from_env(settings | {"DATABASE_URL_MAIN": url}))
    with app.app_context():
        flask_migrate.upgrade()
        db.engine.dispose()
    return url


@pytest.fixture(scope="session")
def _sqlite_template(tmp_path_factory: pytest.TempPathFactory, settings: dict[str, str]) -> Path:
    path = tmp_path_factory.mktemp("main-template") / "main.sqlite3"
    migrated(f"sqlite:///{path}", settings)
    return path


@pytest.fixture(scope="session")
def _postgres_template(postgres_cluster: PostgresCluster, settings: dict[str, str]) -> str:
    migrated(postgres_cluster.create_database("main_template"), settings)
    return "main_template"


@pytest.fixture
def sqlite_main_url(_sqlite_template: Path, tmp_path: Path) -> str:
    """A migrated SQLite database of this test alone."""
    shutil.copy(_sqlite_template, tmp_path / "main.sqlite3")
    return f"sqlite:///{tmp_path / 'main.sqlite3'}"


@pytest.fixture
def postgres_main_url(postgres_cluster: PostgresCluster, _postgres_template: str) -> Iterator[str]:
    """A migrated PostgreSQL database of this test alone."""
    name = f"main_{uuid.uuid4().hex[:12]}"
    with psycopg.connect(postgres_cluster.url("postgres").replace("+psycopg", ""), autocommit=True) as admin:
        admin.execute(f"CREATE DATABASE {name} TEMPLATE {_postgres_template}")
        yield postgres_cluster.url(name)
        admin.execute(f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture(params=["sqlite", "postgresql"])
def main_url(request: pytest.FixtureRequest) -> str:
    """A migrated database; the test runs once on each engine."""
    name = "sqlite_main_url" if request.param == "sqlite" else "postgres_main_url"
    url: str = request.getfixturevalue(name)
    return url


@pytest.fixture
def make_app(settings: dict[str, str], main_url: str) -> Iterator[Callable[..., Flask]]:
    """Apps on the test's database, each with settings of its own: make_app(MAX_SOURCE_BYTES=10)."""
    made: list[Flask] = []

    def make(**changes: object) -> Flask:
        given = {name: str(value) for name, value in changes.items()}
        app = create_app(Config.from_env(settings | {"DATABASE_URL_MAIN": main_url} | given))
        app.config["PROPAGATE_EXCEPTIONS"] = False
        made.append(app)
        return app

    yield make
    for app in made:
        with app.app_context():
            db.session.remove()
            db.engine.dispose()


@pytest.fixture
def app(make_app) -> Flask:
    """The app with no broker to be reached: submissions stay unsent."""
    app: Flask = make_app()
    return app


@pytest.fixture
def client(app: Flask) -> FlaskClient:
    return app.test_client()


@pytest.fixture
def worker(client: FlaskClient) -> Worker:
    return Worker(client)


@pytest.fixture
def submit(client: FlaskClient) -> Callable[..., int]:
    """Hand something in and get its id: submit(student), submit(student, source="1/0")."""

    def hand_in(caller: Caller, **changes: Any) -> int:
        answer: Any = client.post("/api/submissions", json={"source": "print()"} | changes, headers=caller.headers)
        assert answer.status_code == 202, answer.text
        submission_id: int = answer.json["id"]
        return submission_id

    return hand_in
