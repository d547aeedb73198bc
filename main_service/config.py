"""Every setting of main_service, read once. The only file here that looks at the environment."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass

from flask import Flask, current_app

from service_kit.app_frame import cors_options
from service_kit.database import database_url
from service_kit.messages import Limits
from service_kit.settings import Env

_EXTENSION = "main_service.config"
_AMQP_URL = re.compile(r"amqps?://([^:/@\s]+:[^@\s]+@)?[^:/@\s]+(:[0-9]{1,5})?(/[^/\s]*)?$")


@dataclass(frozen=True)
class Config:
    """What main_service needs to know from outside."""

    app_env: str
    log_level: str
    service_token: str
    cors_origins: list[str]
    database_url: str
    amqp_url: str
    auth_service_url: str
    health_bind: str  # host:port of the dispatch process's health page; empty for none.
    max_source_bytes: int
    max_stdin_bytes: int
    max_result_bytes: int
    max_waiting_per_user: int
    max_unpublished: int  # So many rows the broker has not seen yet, and we stop taking more in.
    run_limits: Limits

    @classmethod
    def from_env(cls, environment: Mapping[str, str] | None = None) -> Config:
        """Read the settings; raises SettingsError that names everything missing or wrong."""
        env = Env(os.environ if environment is None else environment)
        config = cls(
            app_env=env.choice("APP_ENV", ("production", "development", "testing"), "production"),
            log_level=env.choice("LOG_LEVEL", ("DEBUG", "INFO", "WARNING", "ERROR"), "INFO"),
            service_token=env.secret("SERVICE_TOKEN", least_characters=16),
            cors_origins=env.words("CORS_ORIGINS", "http://localhost:3000,https://my-learning-app.com"),
            database_url=_readable_database_url(env),
            amqp_url=env.secret("AMQP_URL"),
            auth_service_url=env.text("AUTH_SERVICE_URL").rstrip("/"),
            health_bind=env.text("HEALTH_BIND", ""),
            max_source_bytes=env.number("MAX_SOURCE_BYTES", 262_144, low=1, high=8 * 2**20),
            max_stdin_bytes=env.number("MAX_STDIN_BYTES", 65_536, high=8 * 2**20),
            # A worker takes 8 MiB from a program, and JSON may spell each of its letters three times as long.
            max_result_bytes=env.number("MAX_RESULT_BYTES", 32 * 2**20, low=2**16, high=2**28),
            max_waiting_per_user=env.number("MAX_WAITING_PER_USER", 100, low=1),
            max_unpublished=env.number("MAX_UNPUBLISHED", 20_000, low=1),
            run_limits=Limits(
                cpu_ms=env.number("RUN_CPU_MS", 5_000, low=100, high=600_000),
                wall_ms=env.number("RUN_WALL_MS", 15_000, low=100, high=600_000),
                memory_kib=env.number("RUN_MEMORY_MB", 256, low=16, high=65_536) * 1024,
                output_bytes=env.number("RUN_OUTPUT_BYTES", 65_536, low=1_024, high=2**22),
            ),
        )
        if config.auth_service_url and not config.auth_service_url.startswith(("http://", "https://")):
            env.fault("AUTH_SERVICE_URL must start with http:// or https://")
        if config.amqp_url and not _AMQP_URL.match(config.amqp_url):
            env.fault("AMQP_URL must look like amqp://user:password@host:5672/vhost")
        try:
            cors_options(config.cors_origins)
        except ValueError as error:
            env.fault(str(error))
        env.complain()
        return config

    @property
    def uses_sqlite(self) -> bool:
        return self.database_url.startswith("sqlite")

    def install(self, app: Flask) -> None:
        app.extensions[_EXTENSION] = self


def current_config() -> Config:
    """The settings of the app that is handling this request or command."""
    config: Config = current_app.extensions[_EXTENSION]
    return config


def _readable_database_url(env: Env) -> str:
    text = env.secret("DATABASE_URL_MAIN")  # It may carry a password, so DATABASE_URL_MAIN_FILE works as well.
    try:
        return database_url(text) if text else ""
    except ValueError as error:
        env.fault(f"DATABASE_URL_MAIN: {error}")
        return ""
