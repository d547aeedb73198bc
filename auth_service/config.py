"""Every setting of auth_service, read once and complained about once. The only file that sees the environment."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

from service_kit.app_frame import cors_options
from service_kit.claims import ALGORITHM, AUDIENCE, ISSUER, LEEWAY_SECONDS
from service_kit.database import database_url, engine_options
from service_kit.settings import Env

LEAST_BCRYPT_ROUNDS = 10
REFRESH_COOKIE = "labs_refresh"
COOKIE_PATH = "/api/auth"


@dataclass(frozen=True)
class ThrottleLimits:
    """How often one may try. A limit of 0 is no limit; see throttle.py for what each one counts."""

    enabled: bool = True
    free_failures: int = 5
    max_delay_seconds: int = 300
    account_per_hour: int = 50
    address_per_hour: int = 300
    register_per_hour: int = 300


@dataclass(frozen=True)
class Config:
    """What auth_service needs to know; built by `from_env` alone."""

    log_level: str
    service_token: str
    cors_origins: list[str]
    database_url: str
    keys_dir: Path
    password_pepper: str
    bcrypt_log_rounds: int
    password_min_length: int
    access_token_seconds: int
    refresh_token_seconds: int
    session_max_seconds: int
    cookie_secure: bool
    throttle: ThrottleLimits

    @classmethod
    def from_env(cls, environment: Mapping[str, str] | None = None) -> Config:
        """Read the settings; raises SettingsError that names everything missing or wrong."""
        env = Env(os.environ if environment is None else environment)
        app_env = env.choice("APP_ENV", ("production", "development", "testing"), "production")
        config = cls(
            log_level=env.choice("LOG_LEVEL", ("DEBUG", "INFO", "WARNING", "ERROR"), "INFO"),
            service_token=env.secret("SERVICE_TOKEN", least_characters=16),
            cors_origins=env.words("CORS_ORIGINS", "http://localhost:3000,https://my-learning-app.com"),
            database_url=_read_database_url(env),
            keys_dir=Path(env.text("JWT_KEYS_DIR")),
            password_pepper=env.secret("PASSWORD_PEPPER", least_characters=16),
            bcrypt_log_rounds=env.number(
                "BCRYPT_LOG_ROUNDS", 12, 4 if app_env == "testing" else LEAST_BCRYPT_ROUNDS, 16
            ),
            password_min_length=env.number("PASSWORD_MIN_LENGTH", 10, 8, 64),
            access_token_seconds=env.number("ACCESS_TOKEN_SECONDS", 900, 1, 3_600),
            refresh_token_seconds=env.number("REFRESH_TOKEN_SECONDS", 7 * 86_400, 1),
            session_max_seconds=env.number("SESSION_MAX_SECONDS", 30 * 86_400, 1),
            cookie_secure=env.flag("COOKIE_SECURE", True),
            throttle=ThrottleLimits(
                enabled=env.flag("THROTTLE", True),
                free_failures=env.number("THROTTLE_FREE_FAILURES", 5, 1, 100),
                max_delay_seconds=env.number("THROTTLE_MAX_DELAY_SECONDS", 300, 1, 86_400),
                account_per_hour=env.number("THROTTLE_ACCOUNT_PER_HOUR", 50),
                address_per_hour=env.number("THROTTLE_ADDRESS_PER_HOUR", 300),
                # A class of 60 registers behind one address in its first ten minutes, with typing mistakes.
                register_per_hour=env.number("THROTTLE_REGISTER_PER_HOUR", 300),
            ),
        )
        if app_env == "production":
            if not config.throttle.enabled:
                env.fault("THROTTLE=off is for development and testing; in production raise the THROTTLE_… numbers")
            if not config.cookie_secure:
                env.fault("COOKIE_SECURE=false would send the refresh cookie in the clear; not in production")
        try:
            cors_options(config.cors_origins)
        except ValueError as error:
            env.fault(str(error))
        env.complain()
        return config

    def for_flask(self) -> dict[str, Any]:
        """The same settings under the names that Flask's extensions read."""
        return {
            "MAX_CONTENT_LENGTH": 16 * 1024,
            "SQLALCHEMY_DATABASE_URI": self.database_url,
            # A failing statement must not carry names, addresses or hashes into the log.
            "SQLALCHEMY_ENGINE_OPTIONS": engine_options(self.database_url) | {"hide_parameters": True},
            "BCRYPT_LOG_ROUNDS": self.bcrypt_log_rounds,
            "BCRYPT_HANDLE_LONG_PASSWORDS": False,  # passwords.py does it with a keyed hash.
            # Cookies are looked at only by the two routes that take a refresh token; see transport.py.
            "JWT_TOKEN_LOCATION": ["headers", "cookies"],
            "JWT_ALGORITHM": ALGORITHM,
            "JWT_DECODE_ALGORITHMS": [ALGORITHM],
            "JWT_ENCODE_ISSUER": ISSUER,
            "JWT_DECODE_ISSUER": ISSUER,
            "JWT_ENCODE_AUDIENCE": AUDIENCE,
            "JWT_DECODE_AUDIENCE": AUDIENCE,
            "JWT_DECODE_LEEWAY": LEEWAY_SECONDS,
            "JWT_ACCESS_TOKEN_EXPIRES": timedelta(seconds=self.access_token_seconds),
            "JWT_REFRESH_TOKEN_EXPIRES": timedelta(seconds=self.refresh_token_seconds),
            "JWT_COOKIE_SECURE": self.cookie_secure,
            "JWT_COOKIE_SAMESITE": "Strict",
            "JWT_COOKIE_CSRF_PROTECT": True,
            "JWT_CSRF_IN_COOKIES": True,
            "JWT_REFRESH_COOKIE_NAME": REFRESH_COOKIE,
            "JWT_REFRESH_COOKIE_PATH": COOKIE_PATH,
            "JWT_REFRESH_CSRF_COOKIE_NAME": "labs_csrf",
            "JWT_REFRESH_CSRF_COOKIE_PATH": "/",  # The page's own script must be able to read this one.
            "JWT_SESSION_COOKIE": False,
        }


def _read_database_url(env: Env) -> str:
    text = env.secret("DATABASE_URL_AUTH")
    if not text:
        return ""
    try:
        return database_url(text)
    except ValueError as error:
        env.fault(f"DATABASE_URL_AUTH: {error}")
        return ""
