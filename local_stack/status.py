"""`./labs status` and `./labs logs`: how each part is, and what it says."""

import os
import time
from collections.abc import Iterator
from pathlib import Path

from local_stack import processes, record, screen, settings
from local_stack.errors import FAILED, WRONG_USE, Trouble
from local_stack.layout import State
from local_stack.programs import Stack
from local_stack.readiness import runner_hello
from local_stack.supervision import NotRunning, Supervisor


def running_stack(state: State) -> tuple[Stack, Supervisor]:
    """The stack behind a state folder. Raises Trouble when it is not up."""
    _, sockets = record.read_keeper(state)
    listening = record.read_ports(state)
    supervisor = Supervisor(sockets)
    if listening is None or not supervisor.answers:
        raise Trouble("Nothing is running here. Start it with ./labs up.")
    in_force, _ = settings.load(state.settings_file, os.environ)
    secrets: dict[str, dict[str, str]] = {name: {} for name in settings.SECRETS}
    return Stack(state, in_force, listening, sockets, secrets), supervisor


def status(state: State) -> int:
    """One line per part. 0 when all are well, else 1."""
    stack, supervisor = running_stack(state)
    try:
        states = {each.name: each for each in supervisor.states()}
    except NotRunning as gone:
        raise Trouble("The stack is being taken down just now.") from gone
    rows: list[tuple[str, ...]] = []
    total, well = 0, True
    for program in stack.programs():
        process = states.get(program.name)
        if process is None:
            continue  # Started under other settings (AMQP_URL) than this shell's.
        problem = program.problem() if process.word == "RUNNING" else process.word.lower()
        memory = processes.memory_kib(processes.children_of({process.pid})) if process.pid else 0
        total += memory
        well = well and problem is None
        rows.append((program.name, problem or "ready", str(process.pid or "–"), _ago(process.seconds_up),
                     f"{memory / 1024:.0f} MiB" if memory else "hidden"))  # fmt: skip
    screen.say(f"{stack.url}   state: {state.home}")
    hello = runner_hello(stack.runner_socket)
    if isinstance(hello, dict):
        screen.say(
            f"isolation: {hello.get('isolation')}, memory limits by cgroup {hello.get('cgroup')}, "
            f"Python {hello.get('python')}, marimo {hello.get('marimo')}, {hello.get('slots')} at once"
        )
    screen.say()
    screen.say(screen.table(rows, ("part", "state", "process", "up", "memory")))
    screen.say(
        f"\n{total / 1024:.0f} MiB in all, beside the supervisor and what is hidden (the runner, unless we are root)"
    )
    return 0 if well else FAILED


def _ago(seconds: int) -> str:
    minutes, rest = divmod(seconds, 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {rest} s" if minutes else f"{rest} s"


# Logs ---------------------------------------------------------------------------------------------


def logs(state: State, part: str | None, *, lines: int, follow: bool) -> int:
    """The end of one part's log, or of each; with `follow`, whatever is added from then on."""
    paths = _log_files(state, part)
    shown = {path: _last(path, lines) for path in paths}
    for path, text in shown.items():
        if len(paths) > 1:
            screen.say(f"── {path.stem} " + "─" * max(0, 60 - len(path.stem)))
        screen.say(text)
    if follow:
        for path, line in _added(paths):
            screen.say(f"{path.stem:16} {line}" if len(paths) > 1 else line)
    return 0


def _log_files(state: State, part: str | None) -> list[Path]:
    there = sorted(state.logs.glob("*.log")) if state.logs.is_dir() else []
    if part is None:
        if not there:
            raise Trouble(f"There are no logs in {state.logs} yet.")
        return there
    path = state.logs / f"{part}.log"
    if path not in there:
        names = ", ".join(each.stem for each in there) or "none yet"
        raise Trouble(f"There is no log of {part!r}. There are: {names}.", WRONG_USE)
    return [path]


def _last(path: Path, lines: int) -> str:
    with open(path, "rb") as file:
        file.seek(max(0, path.stat().st_size - 1000 * max(lines, 1)))
        text = file.read().decode(errors="replace").rstrip("\n")
    return "\n".join(text.split("\n")[-lines:]) if lines else ""


def _added(paths: list[Path]) -> Iterator[tuple[Path, str]]:
    """Each new line as it comes, over rotations too."""
    seen = {path: path.stat() for path in paths}
    places = {path: seen[path].st_size for path in paths}
    while True:
        for path in paths:
            try:
                now = path.stat()
            except FileNotFoundError:
                continue  # Just being rotated.
            if now.st_ino != seen[path].st_ino or now.st_size < places[path]:
                places[path] = 0
            seen[path] = now
            with open(path, "rb") as file:
                file.seek(places[path])
                whole, _, _ = file.read().rpartition(b"\n")
            if whole:
                places[path] += len(whole) + 1
                for line in whole.decode(errors="replace").split("\n"):
                    yield path, line
        time.sleep(0.3)
