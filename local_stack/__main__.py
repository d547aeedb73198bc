"""The command line: `./labs COMMAND`. Each command is a function elsewhere; here is only how it is asked for."""

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from local_stack import doctor, lock, reset, status, testing, up
from local_stack.errors import INTERRUPTED, Trouble
from local_stack.layout import DEFAULT_STATE, State

EXIT_CODES = """\
exit codes: 0 well · 1 something failed, the text says what · 2 wrong use or a bad setting ·
            3 something must be installed first, the exact line is printed · 130 ended by Ctrl-C
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; its exit code."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    options, rest = parser().parse_known_args(words)
    if rest and options.command != "test":
        parser().error(f"unrecognized arguments: {' '.join(rest)}")
    try:
        return run(options, rest)
    except Trouble as trouble:
        print(f"\n{trouble}", file=sys.stderr)
        return trouble.exit_code
    except BrokenPipeError:  # Whoever read us has read enough: ./labs logs | head
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except KeyboardInterrupt:
        print("\nInterrupted.", file=sys.stderr)
        return INTERRUPTED


def run(options: argparse.Namespace, rest: list[str]) -> int:
    state = State(Path(getattr(options, "state", None) or DEFAULT_STATE).expanduser().absolute())
    match options.command:
        case "up":
            return up.up(state, up.Options(port=options.port, detach=options.detach, yes=options.yes))
        case "down":
            return up.down(state)
        case "restart":
            return up.restart(state, options.part)
        case "status":
            return status.status(state)
        case "logs":
            return status.logs(state, options.part, lines=options.lines, follow=options.follow)
        case "doctor":
            return doctor.doctor()
        case "reset":
            return reset.reset(state, yes=options.yes, environments_too=options.environments)
        case "test":
            return testing.test(rest, fast=options.fast, yes=options.yes)
        case "lock":
            lock.lock(upgrade=options.upgrade)
    return 0


def parser() -> argparse.ArgumentParser:
    """The whole command line. --state may stand before the command or after it."""
    top = argparse.ArgumentParser(
        prog="./labs",
        description="Open Labs Share on one machine, without Docker.",
        epilog=EXIT_CODES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    top.add_argument("--state", metavar="DIR", default=argparse.SUPPRESS, help=_STATE_HELP)
    commands = top.add_subparsers(dest="command", required=True, metavar="COMMAND")

    command = _command(commands, "up", "start everything and wait until it is ready", _UP)
    command.add_argument("--port", type=_port, help="where to listen (8080); the next free one when it is taken")
    command.add_argument("--detach", action="store_true", help="come back once it is ready, and leave it running")
    _add_yes(command, "install missing packages by sudo without asking")

    _command(commands, "down", "stop everything", "Stops everything of this stack. Well, too, when nothing runs.")

    command = _command(commands, "restart", "stop and start one part", "Stops one part and starts it again.")
    command.add_argument("part", help="its name, as ./labs status shows it")

    _command(commands, "status", "each part's state and memory", "0 when every part is ready, else 1.")

    command = _command(commands, "logs", "the end of the logs", "Shows the end of one part's log, or of all.")
    command.add_argument("part", nargs="?", help="a part's name, as ./labs status shows it; all of them without")
    command.add_argument("-f", "--follow", action="store_true", help="go on with what is added")
    command.add_argument("-n", "--lines", type=int, default=20, help="how many lines (20)")

    _command(commands, "doctor", "what is installed here, what is missing", "3 when something needed is missing.")

    command = _command(commands, "reset", "delete this stack's data", _RESET)
    command.add_argument("--environments", action="store_true", help="delete the Python environments too")
    _add_yes(command, "delete without asking")

    command = _command(commands, "test", "run every check and test", _TEST)
    command.add_argument("--fast", action="store_true", help="leave out the tests marked slow")
    _add_yes(command, "install missing packages by sudo without asking")

    command = _command(commands, "lock", "compile the requirements", "Compiles requirements/*.in into *.txt with uv.")
    command.add_argument("--upgrade", action="store_true", help="take the newest versions the .in files allow")
    return top


_STATE_HELP = "folder of this stack's data, secrets and logs (var/); another folder is another stack"

_UP = """\
Makes the Python environments, installs RabbitMQ and nginx where they are missing (as root at once, else by sudo
after asking), makes secrets, migrates the databases, starts every part under a supervisor and waits until all are
ready. A second `up` finds everything running and changes nothing.

Settings come from the environment and from <state>/labs.env (NAME=value lines; the environment wins), among them
AMQP_URL, DATABASE_URL_AUTH, DATABASE_URL_MAIN, EXECUTOR_SLOTS, CORS_ORIGINS, RATE_LOGIN, RATE_SUBMIT, RATE_API.
"""

_RESET = """\
Takes the stack down and deletes its databases, queue, secrets and logs: what this program made in the state folder.
labs.env stays, as do databases named by DATABASE_URL_*.
"""

_TEST = """\
Installs what the tests use (RabbitMQ, nginx, PostgreSQL, Chromium, the Python tools), then runs ruff, mypy,
lint-imports and pytest. Anything else on the command line goes to pytest: ./labs test --fast tests/nginx -k limit
"""


def _command(
    commands: "argparse._SubParsersAction[argparse.ArgumentParser]", name: str, short: str, long: str
) -> argparse.ArgumentParser:
    made = commands.add_parser(
        name, help=short, description=long, epilog=EXIT_CODES, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    made.add_argument("--state", metavar="DIR", default=argparse.SUPPRESS, help=_STATE_HELP)
    return made


def _add_yes(command: argparse.ArgumentParser, what: str) -> None:
    command.add_argument("-y", "--yes", action="store_true", help=what)


def _port(text: str) -> int:
    port = int(text)
    if not 1 <= port <= 65535:
        raise argparse.ArgumentTypeError(f"{port} is not a port")
    return port


if __name__ == "__main__":
    sys.exit(main())
