"""`./labs up` and what follows, as a user types it, with everything real behind it."""

import os
import signal
import socket
import subprocess
import time

import pytest
import requests

from local_stack import ports, processes, record
from local_stack.layout import State
from local_stack.supervision import Supervisor
from nginx import render
from tests.stack import LABS, labs, start, user_environment

pytestmark = pytest.mark.slow


@pytest.fixture
def home(tmp_path):
    """A state folder for a stack of the test's own; nothing of it is left afterwards."""
    yield tmp_path / "state"
    labs("down", "--state", tmp_path / "state")


def alive(state) -> set[int]:
    """The processes of a stack, with or without their supervisor."""
    keeper, _ = record.read_keeper(State(state))
    assert keeper is not None
    return processes.of_session(keeper)


def answers(stack) -> bool:
    try:
        return requests.get(f"{stack.url}/api/languages", timeout=10).status_code == 200
    except requests.ConnectionError:
        return False


def test_second_up_finds_it_running_and_changes_nothing(stack):
    before = {part: stack.pid(part) for part in ("nginx", "main_service", "executor_worker", "runner")}

    again = labs("up", "--detach", "--state", stack.state)

    assert again.returncode == 0, again.stderr
    assert f"Already up: {stack.url}" in again.stdout
    assert {part: stack.pid(part) for part in before} == before


def test_status_has_a_line_for_every_part_and_all_are_ready(stack):
    told = labs("status", "--state", stack.state)

    assert told.returncode == 0, told.stdout
    for part in ("epmd", "rabbitmq", "auth_service", "main_service", "dispatch", "runner", "executor_worker", "nginx"):
        line = next(line for line in told.stdout.splitlines() if line.startswith(part))
        assert "ready" in line


def test_logs_show_the_part_that_is_named(stack):
    requests.get(f"{stack.url}/api/languages", headers={"X-Request-Id": "seen-in-the-log"}, timeout=10)

    told = labs("logs", "main_service", "-n", "500", "--state", stack.state)

    assert "seen-in-the-log" in told.stdout


def test_part_is_restarted_by_name(stack):
    before = stack.pid("dispatch")

    told = labs("restart", "dispatch", "--state", stack.state)

    assert told.returncode == 0, told.stderr
    assert stack.pid("dispatch") not in (0, before)
    assert labs("restart", "dispach", "--state", stack.state).returncode == 2


def test_killed_master_leaves_no_worker_behind_and_is_started_again(stack):
    master = stack.pid("nginx")
    workers = processes.children_of({master}) - {master}

    os.kill(master, signal.SIGKILL)

    assert workers
    deadline = time.monotonic() + 60
    while [pid for pid in workers if processes.Identity.of(pid)] or not answers(stack):
        assert time.monotonic() < deadline, stack.log("nginx")
        time.sleep(0.1)
    assert stack.pid("nginx") not in (0, master)


def test_secrets_are_in_no_log_and_in_no_command_line(stack):
    secrets = [
        path.read_text().strip().splitlines()[-1] for path in (stack.state / "secrets").rglob("*") if path.is_file()
    ]
    logs = "".join(path.read_text(errors="replace") for path in (stack.state / "log").iterdir())
    commands = b"".join(
        (processes.PROC / str(pid) / "cmdline").read_bytes() for pid in processes.children_of({stack.pid("rabbitmq")})
    ).decode(errors="replace")

    assert len(secrets) >= 5
    for secret in secrets:
        assert secret not in logs
        assert secret not in commands


def test_runner_starts_with_an_empty_environment(stack):
    environment = (processes.PROC / str(stack.pid("runner")) / "environ").read_bytes()

    assert environment.strip(b"\0") == b""


def test_nothing_listens_to_the_outside_but_the_gateway(stack):
    listening = record.read_ports(State(stack.state))
    inner = {port for name, port in vars(listening).items() if name != "gateway"}
    everywhere = {
        int(line.split()[1].split(":")[1], 16)
        for line in (processes.PROC / "net/tcp").read_text().splitlines()[1:]
        if line.split()[3] == "0A" and line.split()[1].split(":")[0] != "0100007F"
    }

    assert not inner & everywhere


def test_taken_port_is_said_and_another_is_used_beside_a_running_stack(stack, home):
    """Two stacks side by side; the second one's state folder has a path too long for a socket."""
    long_home = home / ("a-long-name-" * 8)
    taken = int(stack.url.rpartition(":")[2])

    told = labs("up", "--detach", "--state", long_home, "--port", str(taken))

    try:
        assert told.returncode == 0, told.stdout + told.stderr
        other = record.read_ports(State(long_home))
        assert other is not None
        assert other.gateway > taken
        assert f"port {taken} is taken; using {other.gateway}" in told.stdout
        for url in (stack.url, f"http://localhost:{other.gateway}"):
            assert requests.get(f"{url}/api/languages", timeout=10).status_code == 200
        _, sockets = record.read_keeper(State(long_home))
        assert len(str(sockets / "runner.sock")) < 100
    finally:
        labs("down", "--state", long_home)
    assert not sockets.exists()
    assert requests.get(f"{stack.url}/api/languages", timeout=10).status_code == 200


def test_part_that_cannot_start_is_named_with_its_log_and_nothing_is_left(home):
    told = labs("up", "--detach", "--state", home, "--port", str(ports.choose(1)[0]), RUN_CPU_MS="never")

    assert told.returncode == 1
    assert "main_service" in told.stderr
    assert "RUN_CPU_MS is not a whole number" in told.stderr
    assert not Supervisor(home / "run").answers
    assert record.read_keeper(State(home))[0] is None


def test_broker_that_is_not_there_is_said(home):
    told = labs("up", "--detach", "--state", home, AMQP_URL="amqp://u:secret@127.0.0.1:9/v")

    assert told.returncode == 1
    assert "AMQP_URL" in told.stderr
    assert "secret" not in told.stderr


def test_given_broker_and_databases_are_used(home, amqp_url, postgres_cluster):
    auth, main = (postgres_cluster.create_database(f"up_{name}") for name in ("auth", "main"))

    running = start(
        home, ports.choose(1)[0], AMQP_URL=amqp_url, DATABASE_URL_AUTH=auth, DATABASE_URL_MAIN=main, RATE_LOGIN="off"
    )

    who = {"login": "ada", "email": "ada@example.org", "name": "Ada", "password": "a long walk in the rain"}
    answer = requests.post(f"{running.url}/api/auth/register", json=who, timeout=10)
    assert answer.status_code == 201, answer.text
    assert list((home / "db").iterdir()) == []
    assert not [path for path in (home / "run" / "bin").iterdir() if main in path.read_text()]
    assert not (home / "rabbitmq").exists() or list((home / "rabbitmq").iterdir()) == []
    assert labs("down", "--state", home).returncode == 0
    for name in ("auth", "main"):
        postgres_cluster.drop_database(f"up_{name}")


def test_ctrl_c_takes_everything_down_and_down_is_well_twice(home):
    command = [LABS, "up", "--state", home, "--port", str(ports.choose(1)[0])]
    # Whoever runs the tests in the background ignores SIGINT, and what it starts would inherit that.
    former = signal.signal(signal.SIGINT, signal.default_int_handler)
    foreground = subprocess.Popen(
        command,
        env=user_environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        # A shell that runs the tests in the background has them ignore Ctrl-C, and all whom they start.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    signal.signal(signal.SIGINT, former)
    assert foreground.stdout is not None
    said = []
    for line in foreground.stdout:
        said.append(line)
        if "Ctrl-C" in line:
            break
    everybody = alive(home)
    assert len(everybody) > 8, "".join(said)

    foreground.send_signal(signal.SIGINT)
    rest = foreground.communicate(timeout=120)[0]

    assert foreground.returncode == 130, rest
    assert not render.stage_of(home / "run" / "nginx").exists()
    assert not [pid for pid in everybody if processes.Identity.of(pid)]
    assert labs("down", "--state", home).stdout == "Nothing was running.\n"


def test_what_a_killed_supervisor_leaves_behind_is_ended_by_down(home):
    start(home, ports.choose(1)[0])
    keeper, _ = record.read_keeper(State(home))
    assert keeper is not None
    everybody = alive(home)

    os.kill(keeper.pid, signal.SIGKILL)
    down = labs("down", "--state", home)

    assert down.returncode == 0, down.stderr
    assert not [pid for pid in everybody if processes.Identity.of(pid)]


def test_gateway_port_given_to_somebody_else_meanwhile_is_left_to_them(home):
    with socket.create_server(("", 0)) as somebody:
        running = start(home, somebody.getsockname()[1])

        assert int(running.url.rpartition(":")[2]) > somebody.getsockname()[1]
