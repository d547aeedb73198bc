"""The worker's settings: everything that is wrong is named at once."""

import pytest

from executor_worker.config import Config
from service_kit.settings import SettingsError

GOOD = {
    "AMQP_URL": "amqp://labs:secret@127.0.0.1/labs",
    "MAIN_SERVICE_URL": "http://127.0.0.1:18102/",
    "SERVICE_TOKEN": "0123456789abcdef",
    "RUNNER_SOCKET": "/run/runner.sock",
}


def test_little_needs_to_be_said():
    config = Config.from_env(GOOD)

    assert config.main_service_url == "http://127.0.0.1:18102"
    assert config.slots >= 1
    assert config.worker_id
    assert config.drain_seconds == 20
    assert config.health_bind == ""


def test_secrets_may_lie_in_files(tmp_path):
    (tmp_path / "amqp").write_text("amqp://from/file\n")
    settings = {name: value for name, value in GOOD.items() if name != "AMQP_URL"}

    config = Config.from_env(settings | {"AMQP_URL_FILE": str(tmp_path / "amqp")})

    assert config.amqp_url == "amqp://from/file"


def test_everything_missing_is_named_at_once():
    with pytest.raises(SettingsError) as refused:
        Config.from_env({})

    assert all(name in str(refused.value) for name in GOOD)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("AMQP_URL", "http://127.0.0.1"),
        ("MAIN_SERVICE_URL", "127.0.0.1:18102"),
        ("SERVICE_TOKEN", "short"),
        ("RUNNER_SOCKET", "/run/" + "x" * 110),
        ("EXECUTOR_SLOTS", "0"),
        ("EXECUTOR_SLOTS", "two"),
        ("DRAIN_SECONDS", "-1"),
        ("WORKER_ID", "a/b"),
        ("HEALTH_BIND", "9100"),
        ("LOG_LEVEL", "LOUD"),
    ],
)
def test_a_bad_value_is_named(name, value):
    with pytest.raises(SettingsError, match=name):
        Config.from_env(GOOD | {name: value})
