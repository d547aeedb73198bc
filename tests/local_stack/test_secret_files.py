import stat

import pytest

from local_stack import secret_files
from local_stack.layout import State


@pytest.fixture
def state(tmp_path):
    made = State(tmp_path / "state")
    made.make()
    return made


def test_secret_is_made_once_and_kept(state):
    first = secret_files.reference(state, {}, "SERVICE_TOKEN")
    second = secret_files.reference(state, {}, "SERVICE_TOKEN")

    assert first == second == {"SERVICE_TOKEN_FILE": str(state.secrets / "service_token")}
    assert len(secret_files.value_of(first)) >= 40
    assert stat.S_IMODE((state.secrets / "service_token").stat().st_mode) == 0o600


def test_two_stacks_have_different_secrets(state, tmp_path):
    other = State(tmp_path / "other")
    other.make()

    assert secret_files.ensure(state, "service_token") != secret_files.ensure(other, "service_token")


def test_given_secret_is_used_and_ours_survives_it(state):
    ours = secret_files.value_of(secret_files.reference(state, {}, "PASSWORD_PEPPER"))

    given = secret_files.reference(state, {"PASSWORD_PEPPER": "from outside"}, "PASSWORD_PEPPER")

    assert secret_files.value_of(given) == "from outside"
    assert secret_files.value_of(secret_files.reference(state, {}, "PASSWORD_PEPPER")) == ours


def test_given_file_is_handed_on_as_it_is(state, tmp_path):
    file = tmp_path / "token"
    file.write_text("from a file\n")

    given = secret_files.reference(state, {"SERVICE_TOKEN_FILE": str(file)}, "SERVICE_TOKEN")

    assert given == {"SERVICE_TOKEN_FILE": str(file)}
    assert secret_files.value_of(given) == "from a file"
    assert list(state.secrets.iterdir()) == []


def test_broker_url_follows_the_port(state):
    secret_files.reference(state, {}, "AMQP_URL", ours="amqp://labs:x@127.0.0.1:1/labs")

    moved = secret_files.reference(state, {}, "AMQP_URL", ours="amqp://labs:x@127.0.0.1:2/labs")

    assert secret_files.value_of(moved) == "amqp://labs:x@127.0.0.1:2/labs"
