"""What a user meets before anything runs."""

import pytest

from local_stack.__main__ import main, parser
from tests.stack import labs


@pytest.mark.parametrize("command", ["up", "down", "restart", "status", "logs", "doctor", "reset", "test", "lock"])
def test_every_command_explains_itself(command, capsys):
    with pytest.raises(SystemExit) as ended:
        main([command, "--help"])

    assert ended.value.code == 0
    assert "exit codes:" in capsys.readouterr().out


@pytest.mark.parametrize(
    "words",
    [[], ["fly"], ["up", "--port", "0"], ["up", "--port", "x"], ["up", "--fast"], ["down", "now"], ["restart"]],
    ids=" ".join,
)
def test_wrong_use_is_2(words, capsys):
    with pytest.raises(SystemExit) as ended:
        main(words)

    assert ended.value.code == 2
    assert "usage:" in capsys.readouterr().err


def test_state_is_understood_on_both_sides_of_the_command():
    assert parser().parse_args(["--state", "x", "up"]).state == "x"
    assert parser().parse_args(["up", "--state", "x"]).state == "x"


def test_nothing_to_stop_is_well(tmp_path, capsys):
    assert main(["down", "--state", str(tmp_path)]) == 0
    assert capsys.readouterr().out == "Nothing was running.\n"
    assert list(tmp_path.iterdir()) == []


def test_nothing_to_ask_is_said(tmp_path, capsys):
    assert main(["status", "--state", str(tmp_path)]) == 1
    assert "./labs up" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["a;b", "a b$", "50%", 'qu"ote'])
def test_state_folder_that_nginx_could_not_read_is_refused_at_once(tmp_path, name, capsys):
    assert main(["up", "--state", str(tmp_path / name)]) == 2
    assert "--state" in capsys.readouterr().err
    assert not (tmp_path / name).exists()


def test_bad_setting_is_named_before_anything_is_started(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("RATE_LOGIN", "often")

    assert main(["up", "--state", str(tmp_path)]) == 2
    assert "RATE_LOGIN" in capsys.readouterr().err
    assert not (tmp_path / "run" / "stack.json").exists()


def test_reset_deletes_what_was_made_and_keeps_what_people_wrote(tmp_path, capsys):
    (tmp_path / "db").mkdir()
    (tmp_path / "db" / "main_service.sqlite3").touch()
    (tmp_path / "labs.env").write_text("RATE_API=off\n")
    (tmp_path / "notes.txt").touch()

    assert main(["reset", "--yes", "--state", str(tmp_path)]) == 0
    assert sorted(path.name for path in tmp_path.iterdir()) == ["labs.env", "notes.txt"]


def test_reset_without_an_answer_deletes_nothing(tmp_path):
    (tmp_path / "db").mkdir()

    done = labs("reset", "--state", tmp_path)

    assert done.returncode == 1
    assert "--yes" in done.stdout
    assert (tmp_path / "db").exists()


def test_logs_of_a_part_that_is_not_there_names_those_that_are(tmp_path, capsys):
    (tmp_path / "log").mkdir()
    (tmp_path / "log" / "nginx.log").write_text("one\ntwo\nthree\n")

    assert main(["logs", "ngnix", "--state", str(tmp_path)]) == 2
    assert "nginx" in capsys.readouterr().err
    assert main(["logs", "nginx", "-n", "2", "--state", str(tmp_path)]) == 0
    assert capsys.readouterr().out == "two\nthree\n"
