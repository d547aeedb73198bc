"""The tokens auth_service really issues are the tokens main_service really accepts."""

import threading
from typing import Any

import flask_migrate
import pytest
from werkzeug.serving import make_server

from auth_service import app as auth_app
from auth_service import config as auth_config
from auth_service import extensions as auth_extensions
from auth_service import keys
from main_service.app import create_app
from main_service.config import Config

PERSON = {"login": "ann", "email": "ann@example.org", "password": "a long enough pass phrase", "name": "Ann"}


@pytest.fixture
def auth_service(tmp_path):
    """auth_service on a real port, with its own database and keys."""
    (tmp_path / "keys").mkdir()
    keys.create_signing_key(tmp_path / "keys")
    settings = {
        "APP_ENV": "testing",
        "SERVICE_TOKEN": "service-token-for-tests",
        "JWT_KEYS_DIR": str(tmp_path / "keys"),
        "PASSWORD_PEPPER": "pepper-for-tests-only",
        "BCRYPT_LOG_ROUNDS": "4",
        "DATABASE_URL_AUTH": f"sqlite:///{tmp_path / 'auth.sqlite3'}",
    }
    app = auth_app.create_app(auth_config.Config.from_env(settings))
    with app.app_context():
        flask_migrate.upgrade()
    server = make_server("127.0.0.1", 0, app, threaded=True)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    app.config["URL"] = f"http://127.0.0.1:{server.server_port}"
    yield app
    server.shutdown()
    thread.join()
    server.server_close()
    with app.app_context():
        auth_extensions.db.session.remove()
        auth_extensions.db.engine.dispose()


def test_who_logs_in_there_is_known_here(auth_service, settings, sqlite_main_url):
    accounts = auth_service.test_client()
    assert accounts.post("/api/auth/register", json=PERSON).status_code == 201
    answer: Any = accounts.post("/api/auth/login", json={"login": "ann", "password": PERSON["password"]})
    pair, user_id = answer.json, answer.json["user"]["id"]
    changes = {"DATABASE_URL_MAIN": sqlite_main_url, "AUTH_SERVICE_URL": auth_service.config["URL"]}
    client = create_app(Config.from_env(settings | changes)).test_client()

    def ask(token):
        headers = {"Authorization": f"Bearer {token}", "X-User-Id": str(user_id)}
        return client.post("/api/submissions", json={"source": "1"}, headers=headers).status_code

    assert ask(pair["access_token"]) == 202
    assert ask(pair["refresh_token"]) == 401
