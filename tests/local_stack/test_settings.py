import re

import pytest

from local_stack import settings
from local_stack.errors import WRONG_USE, Trouble
from local_stack.layout import CHECKOUT

# What `up` itself decides for each part; labs.env cannot change these.
WIRING = {"AUTH_SERVICE_URL", "MAIN_SERVICE_URL", "RUNNER_SOCKET", "HEALTH_BIND"}


def test_labs_env_is_read_as_people_write_it(tmp_path):
    file = tmp_path / "labs.env"
    file.write_text('# rates\n\nRATE_API=off\nexport LOG_LEVEL = "DEBUG"\nAMQP_URL=amqp://u:p=x@h/v\n')

    found, warnings = settings.load(file, {})

    assert found == {"RATE_API": "off", "LOG_LEVEL": "DEBUG", "AMQP_URL": "amqp://u:p=x@h/v"}
    assert warnings == []


def test_environment_wins_over_the_file(tmp_path):
    file = tmp_path / "labs.env"
    file.write_text("LOG_LEVEL=DEBUG\nRATE_API=off\n")

    found, _ = settings.load(file, {"LOG_LEVEL": "INFO", "HOME": "/root"})

    assert found == {"LOG_LEVEL": "INFO", "RATE_API": "off"}


def test_empty_value_counts_as_not_set(tmp_path):
    file = tmp_path / "labs.env"
    file.write_text("DATABASE_URL_AUTH=postgresql://somewhere/else\n")

    assert settings.load(file, {"DATABASE_URL_AUTH": ""})[0] == {}


def test_no_file_is_no_settings(tmp_path):
    assert settings.load(tmp_path / "labs.env", {}) == ({}, [])


def test_unknown_name_is_warned_of_with_the_name_that_was_meant(tmp_path):
    file = tmp_path / "labs.env"
    file.write_text("RATE_LOGN=off\nSOMETHING_ELSE=1\n")

    found, warnings = settings.load(file, {})

    assert found == {}
    assert warnings == [
        f"{file}: RATE_LOGN is not a setting of this project; RATE_LOGIN is.",
        f"{file}: SOMETHING_ELSE is not a setting of this project.",
    ]


@pytest.mark.parametrize("line", ["just words", "=value", "TWO WORDS=1", "7UP=1"])
def test_line_that_is_no_setting_is_named(line):
    with pytest.raises(Trouble, match=r"labs\.env, line 2") as caught:
        settings.parse(f"LOG_LEVEL=INFO\n{line}\n", "labs.env")

    assert caught.value.exit_code == WRONG_USE


def test_a_part_gets_its_own_settings_and_no_more():
    everything = dict.fromkeys(settings.KNOWN, "x")

    assert "COOKIE_SECURE" not in settings.chosen(everything, settings.MAIN_SERVICE)
    assert "RUN_CPU_MS" not in settings.chosen(everything, settings.EXECUTOR_WORKER)
    for names in (settings.AUTH_SERVICE, settings.MAIN_SERVICE, settings.EXECUTOR_WORKER, settings.GATEWAY):
        assert not set(settings.SECRETS) & set(settings.chosen(everything, names))


@pytest.mark.parametrize("service", ["auth_service", "main_service", "executor_worker"])
def test_every_setting_that_a_service_reads_can_be_given(service):
    code = (CHECKOUT / service / "config.py").read_text()
    read = set(re.findall(r"""env\.(?:text|secret|number|flag|words|choice)\(\s*"([A-Z_]+)\"""", code))

    assert read
    assert read <= settings.KNOWN | WIRING
