"""Reading settings: typed values, and one complaint that names everything."""

import pytest

from service_kit.settings import Env, SettingsError


def test_every_missing_name_stands_in_one_message():
    env = Env({"THREADS": "many"})
    env.text("DATABASE_URL")
    env.secret("SERVICE_TOKEN")
    env.number("THREADS", 4)

    with pytest.raises(SettingsError) as complaint:
        env.complain()

    assert all(name in str(complaint.value) for name in ("DATABASE_URL", "SERVICE_TOKEN", "THREADS"))


def test_a_complete_environment_raises_nothing():
    env = Env({"DATABASE_URL": "sqlite://"})

    assert env.text("DATABASE_URL") == "sqlite://"
    env.complain()


def test_secret_is_read_from_the_file_that_is_named(tmp_path):
    file = tmp_path / "token"
    file.write_text("s3cret\n")

    assert Env({"SERVICE_TOKEN_FILE": str(file)}).secret("SERVICE_TOKEN") == "s3cret"


def test_unreadable_secret_file_is_named_without_its_content(tmp_path):
    env = Env({"SERVICE_TOKEN_FILE": str(tmp_path / "nowhere")})
    env.secret("SERVICE_TOKEN")

    with pytest.raises(SettingsError, match="SERVICE_TOKEN_FILE cannot be read"):
        env.complain()


def test_short_secret_is_refused_without_being_printed():
    env = Env({"SERVICE_TOKEN": "hunter2"})
    env.secret("SERVICE_TOKEN", least_characters=32)

    with pytest.raises(SettingsError) as complaint:
        env.complain()

    assert "hunter2" not in str(complaint.value)


@pytest.mark.parametrize(
    ("raw", "meant"), [("true", True), ("ON", True), ("1", True), ("no", False), ("off", False), ("", True)]
)
def test_flag_understands_the_usual_words(raw, meant):
    assert Env({"COOKIE_SECURE": raw}).flag("COOKIE_SECURE", True) is meant


@pytest.mark.parametrize(
    "read",
    [
        lambda env: env.number("N", 1, low=1, high=9),
        lambda env: env.flag("N", False),
        lambda env: env.choice("N", ["production", "development"], "production"),
    ],
)
def test_value_out_of_bounds_is_a_fault(read):
    env = Env({"N": "12"})
    read(env)

    with pytest.raises(SettingsError, match="N must be"):
        env.complain()


def test_words_are_split_and_trimmed():
    assert Env({"CORS_ORIGINS": " http://a , ,http://b"}).words("CORS_ORIGINS", "x") == ["http://a", "http://b"]
