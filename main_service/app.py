"""main_service: a submission, from the browser's POST to the stored result. This file puts everything together."""

from __future__ import annotations

import logging
import time

import click
from alembic.script import ScriptDirectory
from flask import Flask, Response
from flask_cors import CORS
from sqlalchemy import text
from sqlalchemy.exc import InterfaceError, OperationalError, SQLAlchemyError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from main_service.config import Config
from main_service.extensions import db, migrate
from main_service.identity import install_identity
from main_service.rabbitmq_producer import QueueUnavailable, RabbitMQProducer
from main_service.routes import main_bp
from main_service.submissions.dispatch import AlreadyRunning, Dispatcher, run_until_told, sole_dispatcher
from main_service.worker_routes import worker_bp
from service_kit.app_frame import cors_options, frame, problem_response
from service_kit.database import begin_reading, engine_options, prepare_sqlite
from service_kit.health import Check, serve_health
from service_kit.logs import configure_logging

log = logging.getLogger(__name__)

_MOST_SILENT_SECONDS = 60


def create_app(config: Config | None = None) -> Flask:
    """The app, from the environment or from given settings. Opens no connection: gunicorn forks it afterwards."""
    config = config or Config.from_env()
    if config.app_env != "testing":  # pytest has handlers of its own at the root logger.
        configure_logging("main_service", config.log_level)
    app = Flask("main_service", static_folder=None)
    app.config.update(
        SQLALCHEMY_DATABASE_URI=config.database_url,
        SQLALCHEMY_ENGINE_OPTIONS=engine_options(config.database_url),
        # JSON may spell each byte of a program as six (\u0041); the program itself is measured in intake.py.
        MAX_CONTENT_LENGTH=6 * (config.max_source_bytes + config.max_stdin_bytes) + 4096,
    )
    config.install(app)
    db.init_app(app)
    migrate.init_app(app, db)
    with app.app_context():
        # NORMAL: at a power cut the last commits may be gone, which a student notices as a missing run, not as a loss.
        prepare_sqlite(db.engine, "NORMAL")
    RabbitMQProducer(config.amqp_url).install(app)
    install_identity(app, config.auth_service_url)
    CORS(app, **cors_options(config.cors_origins))
    api = frame(
        app,
        service="main_service",
        title="Open Labs Share: submissions",
        url_prefix="/api",
        service_token=config.service_token,
        # The broker is not asked: without it submissions are still taken in. /metrics says how it is.
        checks={"database": database_check(app)},
    )
    api.register_blueprint(main_bp)
    app.register_blueprint(worker_bp)  # Not in the OpenAPI document: the gateway lets nobody there.
    for failure in (OperationalError, InterfaceError, PoolTimeout):
        app.register_error_handler(failure, _without_database)
    _add_dispatch_command(app, config)
    return app


def database_check(app: Flask) -> Check:
    """Well when the database answers and has every migration."""
    wanted = set(ScriptDirectory(migrate.directory).get_heads())

    def check() -> str | None:
        with app.app_context():
            begin_reading(db.session)
            found = set(db.session.execute(text("SELECT version_num FROM alembic_version")).scalars())
        return None if found == wanted else "migrations are missing: run flask --app main_service.app db upgrade"

    return check


def _without_database(error: Exception) -> Response:
    """A database that is away, locked or too slow is no fault of this request: the caller may simply try again."""
    log.error("database_unavailable", exc_info=error)
    return problem_response(
        503, "database_unavailable", "We cannot reach our data just now. Try again.", headers={"Retry-After": "2"}
    )


def _add_dispatch_command(app: Flask, config: Config) -> None:
    @app.cli.command("dispatch")
    @click.option("--once", is_flag=True, help="Do what is due now, then exit; 1 when that was not possible.")
    def dispatch(once: bool) -> None:
        """Send what could not be sent at once, take runs back from silent workers, read dead letters."""
        configure_logging("dispatch", config.log_level)
        try:
            if once:
                with sole_dispatcher(config):
                    Dispatcher(app).sweep_once()
            else:
                run_until_told(app, config, lambda dispatcher: _serve_health_of(dispatcher, app, config))
        except (AlreadyRunning, QueueUnavailable, SQLAlchemyError) as error:
            raise click.ClickException(f"{type(error).__name__}: {error}") from error


def _serve_health_of(dispatcher: Dispatcher, app: Flask, config: Config) -> None:
    def sweeps() -> str | None:
        silent = time.monotonic() - dispatcher.swept_at
        return None if silent < _MOST_SILENT_SECONDS else f"no sweep for {silent:.0f} s"

    if config.health_bind:
        serve_health(config.health_bind, {"database": database_check(app), "sweep": sweeps})
