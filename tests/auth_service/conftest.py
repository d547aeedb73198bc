"""A whole auth_service per test, on a database that the committed migrations made."""

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from flask_migrate import upgrade
from werkzeug.test import TestResponse

from auth_service import keys
from auth_service.app import create_app
from auth_service.config import Config
from auth_service.extensions import db
from tests.auth_service.people import PASSWORD, Person


@pytest.fixture(scope="session")
def keys_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("keys")
    keys.create_signing_key(folder)
    return folder


@pytest.fixture(scope="session")
def settings(keys_dir: Path) -> dict[str, str]:
    """A complete environment; a test that needs another value makes its own app with `make_app`."""
    return {
        "APP_ENV": "testing",
        "LOG_LEVEL": "INFO",
        "SERVICE_TOKEN": "service-token-for-tests",
        "JWT_KEYS_DIR": str(keys_dir),
        "PASSWORD_PEPPER": "pepper-for-tests-only",
        "BCRYPT_LOG_ROUNDS": "4",
    }


@pytest.fixture(scope="session")
def migrated_file(tmp_path_factory: pytest.TempPathFactory, settings: dict[str, str]) -> Path:
    """An empty SQLite database with today's tables, to be copied."""
    path = tmp_path_factory.mktemp("template") / "auth.db"
    _migrate(create_app(Config.from_env(settings | {"DATABASE_URL_AUTH": f"sqlite:///{path}"})))
    return path


MakeApp = Callable[..., Flask]


@pytest.fixture
def make_app(settings: dict[str, str], migrated_file: Path, tmp_path: Path) -> Iterator[MakeApp]:
    """Apps with other settings: `make_app(PASSWORD_MIN_LENGTH="12")`. On SQLite unless a URL is given."""
    made: list[Flask] = []

    def make(**changes: str) -> Flask:
        if "DATABASE_URL_AUTH" not in changes:
            path = tmp_path / "auth.db"
            if not path.exists():
                shutil.copy(migrated_file, path)
            changes["DATABASE_URL_AUTH"] = f"sqlite:///{path}"
        app = create_app(Config.from_env(settings | changes))
        made.append(app)
        return app

    yield make
    for app in made:
        _close(app)


@pytest.fixture(scope="module")
def shared_app(
    settings: dict[str, str], migrated_file: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Flask]:
    """One app for all the rows of a long table, whose people do not meet. Making an app takes a while."""
    path = tmp_path_factory.mktemp("shared") / "auth.db"
    shutil.copy(migrated_file, path)
    app = create_app(Config.from_env(settings | {"DATABASE_URL_AUTH": f"sqlite:///{path}", "THROTTLE": "off"}))
    yield app
    _close(app)


@pytest.fixture
def app(make_app: MakeApp) -> Flask:
    return make_app()


@pytest.fixture
def app_on_each_engine(make_app: MakeApp, database_url: str) -> Flask:
    """The app once on SQLite and once on PostgreSQL, for what the database must decide."""
    app = make_app(DATABASE_URL_AUTH=database_url)
    _migrate(app)
    return app


@pytest.fixture
def client(app: Flask) -> FlaskClient:
    return app.test_client(use_cookies=False)


@pytest.fixture
def ann(client: FlaskClient) -> Person:
    """A registered student who is logged in."""
    return Person.join(client, "ann")


@pytest.fixture
def log_in(client: FlaskClient) -> Callable[..., TestResponse]:
    """One try to log in: `log_in("ann", "password", ip="10.0.0.1")`."""

    def attempt(login: str, password: str = PASSWORD, ip: str = "10.0.0.1", **more: Any) -> TestResponse:
        return client.post(
            "/api/auth/login",
            json={"login": login, "password": password, **more},
            headers={"X-Forwarded-For": ip},
        )

    return attempt


def _migrate(app: Flask) -> None:
    with app.app_context():
        upgrade()
    _close(app)


def _close(app: Flask) -> None:
    with app.app_context():
        db.session.remove()
        db.engine.dispose()
