"""Settings: read once, complained about once."""

import pytest

from main_service.config import Config
from service_kit.settings import SettingsError

GOOD = {
    "DATABASE_URL_MAIN": "sqlite:////tmp/main.sqlite3",
    "AMQP_URL": "amqp://labs:secret@127.0.0.1:5672/labs",
    "AUTH_SERVICE_URL": "http://127.0.0.1:18101/",
    "SERVICE_TOKEN": "0123456789abcdef",
}


def test_defaults_are_those_of_the_contract():
    config = Config.from_env(GOOD)

    assert config.auth_service_url == "http://127.0.0.1:18101"
    assert config.cors_origins == ["http://localhost:3000", "https://my-learning-app.com"]
    assert (config.max_source_bytes, config.max_stdin_bytes, config.max_waiting_per_user) == (262_144, 65_536, 100)
    assert (config.run_limits.cpu_ms, config.run_limits.wall_ms) == (5000, 15000)
    assert (config.run_limits.memory_kib, config.run_limits.output_bytes) == (256 * 1024, 65_536)


def test_everything_missing_is_named_in_one_message():
    with pytest.raises(SettingsError) as caught:
        Config.from_env({})

    for name in GOOD:
        assert name in str(caught.value)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("APP_ENV", "prod"),
        ("LOG_LEVEL", "LOUD"),
        ("SERVICE_TOKEN", "short"),
        ("DATABASE_URL_MAIN", "mysql://x"),
        ("DATABASE_URL_MAIN", "sqlite://"),
        ("AMQP_URL", "http://localhost"),
        ("AMQP_URL", "amqp://user@host/vhost"),
        ("AMQP_URL", "amqp://user:secret@host:port/vhost"),
        ("AUTH_SERVICE_URL", "auth:8000"),
        ("CORS_ORIGINS", "*"),
        ("MAX_SOURCE_BYTES", "0"),
        ("MAX_SOURCE_BYTES", "lots"),
        ("MAX_WAITING_PER_USER", "0"),
        ("RUN_MEMORY_MB", "1"),
    ],
)
def test_a_value_that_cannot_be_used_stops_the_start(name, value):
    with pytest.raises(SettingsError, match=name) as caught:
        Config.from_env(GOOD | {name: value})

    assert "secret" not in str(caught.value)


def test_secrets_may_stand_in_files(tmp_path):
    for name in ("SERVICE_TOKEN", "AMQP_URL", "DATABASE_URL_MAIN"):
        (tmp_path / name).write_text(GOOD[name] + "\n")
    given = {f"{name}_FILE": str(tmp_path / name) for name in ("SERVICE_TOKEN", "AMQP_URL", "DATABASE_URL_MAIN")}

    config = Config.from_env(given | {"AUTH_SERVICE_URL": GOOD["AUTH_SERVICE_URL"]})

    assert config == Config.from_env(GOOD)
