"""What a program is told reaches it exactly, and nothing else does."""

import configparser
import json
import subprocess
import sys
from pathlib import Path

from local_stack import supervision
from local_stack.programs import Program

NASTY = "50% of \"quoted\" 'words' $HOME `id` \\ ; # äö\n second line"
TELL = "import json, os, sys; print(json.dumps([sys.argv[1:], dict(os.environ), os.getcwd()]))"


def program(**changes) -> Program:
    described = {"name": "teller", "command": [sys.executable, "-I", "-c", TELL], "environment": {}} | changes
    return Program(problem=lambda: None, **described)


def run_script(made: Program, folder: Path):
    path = folder / "script"
    path.write_text(supervision.script(made))
    done = subprocess.run(
        ["/bin/sh", path], env={"SECRET_OF_THE_SHELL": "x"}, capture_output=True, text=True, check=True
    )
    return json.loads(done.stdout)


def test_arguments_and_environment_arrive_as_they_are(tmp_path):
    command = [sys.executable, "-I", "-c", TELL, NASTY, ""]

    arguments, environment, _ = run_script(program(command=command, environment={"NASTY": NASTY}), tmp_path)

    assert arguments == [NASTY, ""]
    assert environment["NASTY"] == NASTY


def test_program_with_no_environment_inherits_none(tmp_path):
    _, environment, _ = run_script(program(), tmp_path)

    assert set(environment) <= {"LC_CTYPE"}  # Python's own doing, where it finds no locale.


def test_program_starts_in_its_folder_with_its_fresh_folders_emptied(tmp_path):
    fresh = tmp_path / "with space" / "fresh"
    fresh.mkdir(parents=True)
    (fresh / "left-over").touch()

    _, _, folder = run_script(program(folder=tmp_path, fresh_folders=(fresh,)), tmp_path)

    assert folder == str(tmp_path)
    assert list(fresh.iterdir()) == []


def test_configuration_keeps_the_order_and_holds_back_what_needs_a_database():
    text = supervision.configuration(
        [program(name="first", needs_databases=False), program(name="second", stop_seconds=7)], Path("/run/x")
    )
    read = configparser.RawConfigParser(inline_comment_prefixes=(";", "#"))
    read.read_string(text)

    assert read["program:first"]["priority"] < read["program:second"]["priority"]
    assert read["program:first"]["autostart"] == "true"
    assert read["program:second"]["autostart"] == "false"
    assert read["program:second"]["stopwaitsecs"] == "7"
    assert read["unix_http_server"]["file"] == "/run/x/supervisor.sock"
