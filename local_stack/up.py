"""`./labs up`: from a bare checkout to a platform that answers, and `./labs down`, its undoing."""

import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace

from local_stack import (
    amqp_probe,
    environments,
    packages,
    processes,
    record,
    screen,
    secret_files,
    settings,
    supervision,
)
from local_stack.errors import INTERRUPTED, WRONG_USE, Trouble
from local_stack.layout import CHECKOUT, DEFAULT_STATE, State, forget_socket_folder, socket_folder
from local_stack.programs import Program, Stack
from local_stack.supervision import NotRunning, Supervisor
from nginx import render as gateway

READY_SECONDS = 120
DEATHS_ALLOWED = 3  # A part may lose a race at start; one that keeps dying will not get well by waiting.
MISCONFIGURED = 78  # EX_CONFIG: it read its settings and refused; starting it again changes nothing.
NO_PLACE_FOR_A_STATE = re.compile(r"[\"\\$;{}%\x00-\x1f\x7f]")  # nginx and supervisor give these a meaning.


@dataclass(frozen=True)
class Options:
    """What the command line of `up` says."""

    port: int | None = None
    detach: bool = False
    yes: bool = False


def up(state: State, options: Options) -> int:
    """Bring the stack up and wait until every part is ready; in the foreground, then stay until Ctrl-C."""
    _check_place(state)
    for number in (signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) is not signal.SIG_IGN:  # nohup's wish.
            signal.signal(number, _as_interrupt)
    with state.held():
        if _is_up(state):
            return _say_already_up(state, options)
        started = time.monotonic()
        _take_down(state)  # What a killed supervisor may have left running holds our ports and files.
        state.make()
        stack = prepare(state, options)
        try:
            _start(stack)
            _say_ready(stack, time.monotonic() - started, options)
        except BaseException:
            _take_down(state)
            forget_socket_folder(state, stack.sockets)
            raise
    return 0 if options.detach else _stay(state)


def down(state: State) -> int:
    """End everything of this stack. Well also when nothing runs."""
    if not state.run.exists():
        screen.say("Nothing was running.")
        return 0
    with state.held():
        keeper, _ = record.read_keeper(state)
        if keeper is None and not _is_up(state):
            screen.say("Nothing was running.")
        elif _take_down(state):
            screen.say("Everything has stopped.")
        else:
            screen.say("Nothing was running any more; what was left over is tidied away.")
    return 0


def restart(state: State, part: str) -> int:
    """Stop one part and start it again; the others go on."""
    _, sockets = record.read_keeper(state)
    supervisor = Supervisor(sockets)
    try:
        names = [process.name for process in supervisor.states()]
        if part not in names:
            raise Trouble(f"There is no part {part!r}. There are: {', '.join(names)}.", WRONG_USE)
        with screen.step(f"restarting {part}"):
            supervisor.restart(part)
    except NotRunning as problem:
        raise Trouble("Nothing is running here. Start it with ./labs up.") from problem
    return 0


# Preparing ----------------------------------------------------------------------------------------


def _check_place(state: State) -> None:
    if sys.platform != "linux":
        raise Trouble("The runner confines student code by means of Linux: use Linux, or docker compose up.")
    if found := NO_PLACE_FOR_A_STATE.search(str(state.home)):
        raise Trouble(f"The state folder's path may not contain {found[0]!r}: choose another with --state.", WRONG_USE)


def prepare(state: State, options: Options) -> Stack:
    """Everything but running processes: packages, environments, secrets, ports."""
    in_force, warnings = settings.load(state.settings_file, os.environ)
    for warning in warnings:
        screen.warn(warning)
    stack = Stack(state, in_force, record.choose_ports(state, options.port), sockets=state.run)
    wanted = [packages.PYTHON_VENV, packages.NGINX, *([packages.RABBITMQ] if stack.runs_its_broker else [])]
    packages.ensure(wanted, yes=options.yes)
    _check_settings(stack)
    environments.ensure_services()
    environments.ensure_notebook()
    record.write_ports(state, stack.ports)
    if stack.ports.gateway != (options.port or record.DEFAULT_PORT):
        screen.say(f"  port {options.port or record.DEFAULT_PORT} is taken; using {stack.ports.gateway}")
    return replace(stack, secrets=_secrets(stack), sockets=socket_folder(state))


def _check_settings(stack: Stack) -> None:
    """What we read ourselves; each service complains of its own settings when it starts."""
    try:
        gateway.Settings.from_env(stack.gateway_environment())
        for name in ("EXECUTOR_SLOTS", "DRAIN_SECONDS"):
            if int(stack.settings.get(name, "1")) < (name == "EXECUTOR_SLOTS"):
                raise ValueError(f"{name} must be a positive number")
    except (gateway.SettingsError, ValueError) as problem:
        raise Trouble(f"{problem}\n(from the environment or {stack.state.settings_file})", WRONG_USE) from problem


def _secrets(stack: Stack) -> dict[str, Mapping[str, str]]:
    keys = stack.settings.get("JWT_KEYS_DIR", str(stack.keys))
    _run_python("Making the signing key", ["-m", "auth_service.keys", keys])
    ours = {
        "AMQP_URL": stack.broker_node().url if stack.runs_its_broker else None,
        "DATABASE_URL_AUTH": stack.own_database_url("auth_service"),
        "DATABASE_URL_MAIN": stack.own_database_url("main_service"),
    }
    return {
        name: secret_files.reference(stack.state, stack.settings, name, ours=ours.get(name))
        for name in settings.SECRETS
    }


def _run_python(doing: str, arguments: list[str]) -> None:
    """Run one of our own modules to its end."""
    done = subprocess.run(
        [environments.services_python(), *arguments],
        cwd=CHECKOUT,
        env={"PATH": "/usr/bin:/bin", "LANG": "C.UTF-8"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        umask=0o077,
        check=False,
    )
    if done.returncode != 0:
        raise Trouble(f"{doing} failed (exit code {done.returncode}):\n{_tail(done.stdout + done.stderr)}")


# Starting -----------------------------------------------------------------------------------------


def _start(stack: Stack) -> None:
    programs = stack.programs()
    logs = LogEnds(stack.state)
    if stack.runs_its_broker:
        stack.broker_node().prepare()
    else:
        _check_given_broker(stack)
    supervision.write_configuration(stack.state, programs, stack.sockets)
    supervisord = supervision.launch(stack.state)
    keeper = processes.Identity.of(supervisord.pid)
    if keeper is None:
        raise Trouble(f"supervisord did not start.\n{logs.tail('supervisord.out')}")
    record.write_keeper(stack.state, keeper, stack.sockets)
    supervisor = Supervisor(stack.sockets)
    while not supervisor.answers:
        if supervisord.poll() is not None:
            raise Trouble(f"supervisord ended at once.\n{logs.tail('supervisord.out')}")
        time.sleep(0.05)
    _migrate(stack)  # Meanwhile the broker, which takes longest, is starting.
    for program in programs:
        if program.needs_databases:
            supervisor.start(program.name)
    _wait_until_ready(programs, supervisor, logs)


def _check_given_broker(stack: Stack) -> None:
    if refused := amqp_probe.refusal(secret_files.value_of(stack.secrets["AMQP_URL"])):
        raise Trouble(f"The broker that AMQP_URL names does not let us in: {refused}.")


def _migrate(stack: Stack) -> None:
    """Both histories to their head, side by side: they share no table."""
    with screen.step("migrating the databases"):
        running = {
            service: subprocess.Popen(
                [environments.SERVICES / "bin" / "flask", "--app", f"{service}.app", "db", "upgrade"],
                cwd=CHECKOUT,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                umask=0o077,
            )
            for service, environment in (
                ("auth_service", _without_metrics(stack.auth_service_environment())),
                ("main_service", _without_metrics(stack.main_service_environment())),
            )
        }
        outputs = {service: process.communicate()[0] for service, process in running.items()}
    for service, process in running.items():
        if process.returncode != 0:
            raise Trouble(f"The database of {service} could not be migrated:\n{_tail(outputs[service])}")


def _without_metrics(environment: Mapping[str, str]) -> dict[str, str]:
    return {name: value for name, value in environment.items() if name != "PROMETHEUS_MULTIPROC_DIR"}


def _wait_until_ready(programs: list[Program], supervisor: Supervisor, logs: "LogEnds") -> None:
    """Name each part as it becomes ready. Raises Trouble when one keeps dying, or takes too long."""
    started = time.monotonic()
    waiting = {program.name: program for program in programs}
    lives: dict[str, set[int]] = {name: set() for name in waiting}
    live = screen.LiveLine()
    reasons: dict[str, str] = {}
    while waiting:
        for process in supervisor.states():
            if process.name not in waiting:
                continue
            lives[process.name] |= {process.started_at} - {0}
            _give_up_if_hopeless(process, len(lives[process.name]), logs)
            problem = waiting[process.name].problem() if process.word == "RUNNING" else process.word.lower()
            if problem is None:
                del waiting[process.name]
                live.clear()
                screen.say(f"  {process.name} ready after {time.monotonic() - started:.1f} s")
            else:
                reasons[process.name] = problem
        if waiting and time.monotonic() - started > READY_SECONDS:
            name = next(iter(waiting))
            raise Trouble(
                f"{name} is not ready after {READY_SECONDS} s: {reasons.get(name, 'no reason known')}.\n"
                f"{logs.tail(f'{name}.log')}"
            )
        live.show(f"waiting for {', '.join(waiting)} ({time.monotonic() - started:.0f} s)")
        time.sleep(0.1)
    live.clear()


def _give_up_if_hopeless(process: supervision.ProcessState, lives: int, logs: "LogEnds") -> None:
    refused = process.word in ("BACKOFF", "EXITED", "FATAL") and process.exit_code == MISCONFIGURED
    if refused or lives > DEATHS_ALLOWED:
        how = f"ended with code {process.exit_code}" if process.exit_code else "keeps ending"
        raise Trouble(f"{process.name} {how}; everything else is taken down.\n{logs.tail(f'{process.name}.log')}")


class LogEnds:
    """Where the logs ended before this start, so that what is shown of them is about this start."""

    def __init__(self, state: State) -> None:
        self._folder = state.logs
        self._sizes = {path.name: path.stat().st_size for path in state.logs.iterdir()}

    def tail(self, name: str) -> str:
        path = self._folder / name
        try:
            with open(path, "rb") as file:
                file.seek(self._sizes.get(name, 0))
                text = file.read().decode(errors="replace")
        except OSError:
            text = ""
        return f"The end of {path}:\n{_tail(text)}"


def _tail(text: str, lines: int = 20) -> str:
    return "\n".join(f"  | {line}" for line in text.strip().splitlines()[-lines:]) or "  | (empty)"


# While it runs ------------------------------------------------------------------------------------


def _is_up(state: State) -> bool:
    _, sockets = record.read_keeper(state)
    return Supervisor(sockets).answers


def _say_already_up(state: State, options: Options) -> int:
    listening = record.read_ports(state)
    url = f"http://localhost:{listening.gateway}" if listening else "an unknown port"
    screen.say(f"Already up: {url}  ({_labs(state)} status tells more)")
    if listening and options.port not in (None, listening.gateway):
        screen.say(f"To listen on {options.port} instead: {_labs(state)} down, then up --port {options.port}.")
    return 0


def _say_ready(stack: Stack, seconds: float, options: Options) -> None:
    labs = _labs(stack.state)
    screen.say(f"\nOpen Labs Share is up: {stack.url}  (after {seconds:.1f} s)")
    if "GATEWAY_ADDRESS" not in stack.settings:
        screen.say("  only this machine can reach it; GATEWAY_ADDRESS=0.0.0.0 opens it to others")
    screen.say(f"  logs: {stack.state.logs}  ({labs} logs NAME -f)")
    if options.detach:
        screen.say(f"  stop: {labs} down")
    else:
        screen.say("  stop: Ctrl-C")


def _labs(state: State) -> str:
    return "./labs" if state.home == DEFAULT_STATE else f"./labs --state {state.home}"


def _stay(state: State) -> int:
    """Tell what happens to the parts, until a signal or until somebody else takes the stack down."""
    _, sockets = record.read_keeper(state)
    supervisor = Supervisor(sockets)
    known: dict[str, int] = {}
    try:
        while True:
            for process in supervisor.states():
                if process.pid and process.pid != known.setdefault(process.name, process.pid):
                    screen.say(f"{process.name} ended and was started again (process {process.pid})")
                    known[process.name] = process.pid
            time.sleep(1)
    except NotRunning:
        screen.say("The stack was taken down from elsewhere.")
        return 0
    except KeyboardInterrupt:
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # A second Ctrl-C must not leave half of it running.
        screen.say("\nStopping …")
        down(state)
        return INTERRUPTED


def _as_interrupt(_number: int, _frame: object) -> None:
    raise KeyboardInterrupt


def _take_down(state: State) -> bool:
    keeper, sockets = record.read_keeper(state)
    there_was = supervision.end(Supervisor(sockets), keeper)
    forget_socket_folder(state, sockets)
    record.forget_keeper(state)
    for leftover in ("supervisor.sock", "runner.sock", "supervisord.pid"):
        (state.run / leftover).unlink(missing_ok=True)
    # The gateway's cache is keyed by access tokens; it goes with the gateway.
    for folder in (state.run / "metrics", state.gateway, gateway.stage_of(state.gateway)):
        shutil.rmtree(folder, ignore_errors=True)
    return there_was
