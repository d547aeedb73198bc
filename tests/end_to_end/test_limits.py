"""Programs without end or measure get their status in time, and the next student notices nothing."""

from pathlib import Path

import pytest

README = Path(__file__).parents[2] / "README.md"  # Anybody on the host may read it.
FORK_BOMB = "import os\nwhile True:\n    os.fork()\n"


@pytest.mark.parametrize(
    ("source", "status"),
    [
        ("while True:\n    pass\n", "time_limit_exceeded"),
        ("import time\ntime.sleep(1000)\n", "time_limit_exceeded"),
        ("x = []\nwhile True:\n    x.append(bytearray(10_000_000))\n", "memory_limit_exceeded"),
        ("x = 10 ** 10 ** 9\n", "time_limit_exceeded"),
        (FORK_BOMB, "runtime_error"),
        ("while True:\n    print('flood ' * 100)\n", "output_limit_exceeded"),
        ("import os\nwhile True:\n    os.write(1, b'flood' * 1000)\n", "output_limit_exceeded"),
        ("import os\nos._exit(0)\n", "runtime_error"),
        ("import ctypes\nctypes.string_at(0)\n", "runtime_error"),
    ],
    ids=["loop", "sleep", "memory", "bignum", "fork", "flood", "fd-flood", "exit", "segfault"],
)
def test_runaway_program_gets_its_status_and_the_next_runs(visitor, source, status):
    result = visitor.run(source, seconds=25)

    assert result["status"] == status
    assert visitor.run("print('well')")["stdout"] == "well\n"


def test_time_limit_comes_within_a_second_of_the_limit(visitor):
    limit = visitor.get("/limits").json()["cpu_ms"]

    result = visitor.run("while True:\n    pass\n")

    assert limit <= result["wall_time"]
    assert result["run_time"] <= limit + 1000


def test_output_before_the_time_limit_is_kept(visitor):
    result = visitor.run("print('got this far')\nwhile True:\n    pass\n")

    assert result["status"] == "time_limit_exceeded"
    assert result["stdout"] == "got this far\n"


@pytest.mark.parametrize(
    "source",
    [
        "import socket\nsocket.create_connection(('127.0.0.1', {port}), timeout=2)\n",
        "print(open('{readme}').read())\n",
        "import subprocess\nsubprocess.run(['id'])\n",
        "import os\nos.kill(os.getppid(), 0)\n",
        "open('{secret}').read()\n",
    ],
    ids=["network", "host-file", "subprocess", "kill", "secret"],
)
def test_reaching_outside_fails_as_an_ordinary_error(visitor, stack, source):
    secret = stack.state / "secrets" / "service_token"
    port = stack.url.rsplit(":", 1)[1]

    result = visitor.run(source.format(port=port, secret=secret, readme=README))

    assert result["status"] == "runtime_error"
    assert result["stdout"] == ""


def test_environment_of_a_run_holds_no_secret(visitor):
    result = visitor.run("import os\nprint(dict(os.environ))")

    assert result["status"] == "completed"
    assert not any(word in result["stdout"].upper() for word in ("TOKEN", "SECRET", "PASSWORD", "AMQP", "DATABASE"))
