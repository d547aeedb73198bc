"""The environment: everything that is wrong is named at once, and nothing unsafe starts in production."""

import pytest

from auth_service.config import Config
from service_kit.settings import SettingsError


@pytest.fixture
def production(settings):
    return settings | {
        "APP_ENV": "production",
        "BCRYPT_LOG_ROUNDS": "12",
        "DATABASE_URL_AUTH": "postgresql://auth@db/auth",
    }


def test_an_empty_environment_is_told_everything_that_is_missing():
    with pytest.raises(SettingsError) as caught:
        Config.from_env({})

    for name in ("SERVICE_TOKEN", "DATABASE_URL_AUTH", "JWT_KEYS_DIR", "PASSWORD_PEPPER"):
        assert name in str(caught.value)


def test_the_defaults_are_those_we_promise(production):
    config = Config.from_env(production | {"BCRYPT_LOG_ROUNDS": ""})

    assert config.bcrypt_log_rounds == 12
    assert config.password_min_length == 10
    assert config.access_token_seconds == 15 * 60
    assert config.refresh_token_seconds == 7 * 86_400
    assert config.session_max_seconds == 30 * 86_400
    assert config.cookie_secure is True
    assert config.throttle.enabled is True
    assert config.cors_origins == ["http://localhost:3000", "https://my-learning-app.com"]
    assert config.database_url == "postgresql+psycopg://auth@db/auth"


@pytest.mark.parametrize(
    ("changes", "word"),
    [
        ({"APP_ENV": "prod"}, "APP_ENV"),
        ({"BCRYPT_LOG_ROUNDS": "9"}, "BCRYPT_LOG_ROUNDS"),
        ({"BCRYPT_LOG_ROUNDS": "4", "APP_ENV": "development"}, "BCRYPT_LOG_ROUNDS"),
        ({"BCRYPT_LOG_ROUNDS": "31"}, "BCRYPT_LOG_ROUNDS"),
        ({"COOKIE_SECURE": "false"}, "COOKIE_SECURE"),
        ({"THROTTLE": "off"}, "THROTTLE"),
        ({"PASSWORD_MIN_LENGTH": "7"}, "PASSWORD_MIN_LENGTH"),
        ({"PASSWORD_PEPPER": "short"}, "PASSWORD_PEPPER"),
        ({"SERVICE_TOKEN": "short"}, "SERVICE_TOKEN"),
        ({"ACCESS_TOKEN_SECONDS": "86400"}, "ACCESS_TOKEN_SECONDS"),
        ({"ACCESS_TOKEN_SECONDS": "a while"}, "ACCESS_TOKEN_SECONDS"),
        ({"DATABASE_URL_AUTH": "mysql://u@h/d"}, "DATABASE_URL_AUTH"),
        ({"DATABASE_URL_AUTH": "sqlite://"}, "DATABASE_URL_AUTH"),
        ({"DATABASE_URL_AUTH": "what?"}, "DATABASE_URL_AUTH"),
        ({"CORS_ORIGINS": "*"}, "CORS_ORIGINS"),
    ],
)
def test_what_is_not_safe_or_makes_no_sense_does_not_start_in_production(production, changes, word):
    with pytest.raises(SettingsError, match=word):
        Config.from_env(production | changes)


def test_secrets_may_come_from_files(production, tmp_path):
    (tmp_path / "pepper").write_text("a pepper from a file\n")
    del production["PASSWORD_PEPPER"]

    config = Config.from_env(production | {"PASSWORD_PEPPER_FILE": str(tmp_path / "pepper")})

    assert config.password_pepper == "a pepper from a file"


def test_a_complaint_never_shows_a_value(production):
    with pytest.raises(SettingsError) as caught:
        Config.from_env(production | {"SERVICE_TOKEN": "s3cr3t", "DATABASE_URL_AUTH": "mysql://u:pa55@h/d"})

    assert "s3cr3t" not in str(caught.value)
    assert "pa55" not in str(caught.value)
