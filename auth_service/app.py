"""Put auth_service together: `create_app()`, what gunicorn and the flask command start from."""

from __future__ import annotations

import functools
from pathlib import Path

import click
from alembic.script import ScriptDirectory
from flask import Flask
from flask_cors import CORS
from sqlalchemy import text
from werkzeug.middleware.proxy_fix import ProxyFix

from auth_service import tokens
from auth_service.cleanup import clean_up
from auth_service.config import Config
from auth_service.extensions import bcrypt, db, jwt, migrate
from auth_service.keys import KeyRing, KeysUnusable
from auth_service.routes import auth_bp, gateway_bp
from service_kit.app_frame import cors_options, frame
from service_kit.database import begin_reading, prepare_sqlite
from service_kit.logs import configure_logging
from service_kit.settings import SettingsError

MIGRATIONS = Path(__file__).with_name("migrations")


def create_app(config: Config | None = None) -> Flask:
    """The whole service. Opens no connection: gunicorn loads it once and forks."""
    config = config or Config.from_env()
    configure_logging("auth_service", config.log_level)
    app = Flask(__name__, static_folder=None)
    app.config.update(config.for_flask())
    app.config.update(
        PASSWORD_PEPPER=config.password_pepper,
        PASSWORD_MIN_LENGTH=config.password_min_length,
        REFRESH_TOKEN_SECONDS=config.refresh_token_seconds,
        SESSION_MAX_SECONDS=config.session_max_seconds,
        THROTTLE_LIMITS=config.throttle,
        CORS_ALLOWED=frozenset(config.cors_origins),
    )
    # Exactly one hop, our gateway, which overwrites what a client sent under these names.
    app.wsgi_app = ProxyFix(app.wsgi_app, x_for=1, x_proto=1, x_host=1)  # type: ignore[method-assign]
    CORS(app, **cors_options(config.cors_origins))
    db.init_app(app)
    migrate.init_app(app, db, directory=str(MIGRATIONS))
    bcrypt.init_app(app)
    jwt.init_app(app)
    tokens.install(app, jwt, _load_keys(config.keys_dir))
    with app.app_context():
        prepare_sqlite(db.engine, "FULL")  # A registration or a revocation must outlive a power cut.
    api = frame(
        app,
        service="auth_service",
        title="Open Labs Share: accounts",
        url_prefix="/api/auth",
        service_token=config.service_token,
        checks={"database": _database_problem},
    )
    api.register_blueprint(auth_bp)
    app.register_blueprint(gateway_bp)
    _add_commands(app)
    return app


def _load_keys(folder: Path) -> KeyRing:
    try:
        return KeyRing.load(folder)
    except KeysUnusable as error:
        raise SettingsError(f"cannot start: JWT_KEYS_DIR: {error}") from error


def _database_problem() -> str | None:
    """None when the database answers and has today's tables."""
    begin_reading(db.session)
    found = db.session.execute(text("SELECT version_num FROM alembic_version")).scalar_one_or_none()
    db.session.commit()
    return None if found == _newest_revision() else "not migrated: run flask --app auth_service.app db upgrade"


@functools.cache
def _newest_revision() -> str | None:
    return ScriptDirectory(str(MIGRATIONS)).get_current_head()


def _add_commands(app: Flask) -> None:
    @app.cli.command("cleanup")
    @click.option("--rows", default=5_000, show_default=True, help="At most so many rows of each table.")
    def cleanup(rows: int) -> None:
        """Delete expired tokens, long-ended sessions, forgotten counters and year-old audit events."""
        for table, count in clean_up(rows).items():
            click.echo(f"{table}: {count}")
