"""Start the runner: <notebook's python> -I executor_worker/runner/__main__.py --socket PATH --slots N

SIGTERM stops it. SIGHUP has the libraries loaded anew, without a pause, when they were changed.
Exit codes: 0 stopped when told to; 69 another runner is there; 70 it cannot work (the log says why);
78 it would not be safe, or not be what was asked for: starting it again will not help.
"""

from __future__ import annotations

import argparse
import os
import socket
import sys
from pathlib import Path

HOME = str(Path(__file__).resolve().parents[2])
WARM_PROCESS = "--warm-process"  # What the runner says to itself (warm.py).
KEPT_ENVIRONMENT = {"LANG": "C.UTF-8"}


def main() -> int:
    sys.path.insert(0, HOME)  # -I leaves it out, and the warm process takes it away again before any program runs.
    if WARM_PROCESS in sys.argv:
        from executor_worker.runner import warm, zygote

        zygote.main(socket.socket(fileno=warm.CHANNEL_DESCRIPTOR))
        return 0
    _forget_the_environment()
    options = _options()
    from executor_worker.runner.start import supervise

    return supervise(options)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="runner", description="Runs students' programs, each in a confined process.")
    parser.add_argument("--socket", required=True, help="where the worker knocks (a unix socket)")
    parser.add_argument("--slots", type=int, default=os.cpu_count() or 1, help="programs at a time (default: cores)")
    parser.add_argument("--isolation", choices=("auto", "namespaces", "processes", "none"), default="auto")
    parser.add_argument("--box-dir", help="where boxes are made when they cannot be mounted; best on a tmpfs")
    parser.add_argument("--i-accept-unsafe-development", action="store_true", help="needed for --isolation none")
    options = parser.parse_args()
    if not 1 <= options.slots <= 64:
        parser.error("--slots is not from 1 to 64")
    if options.isolation == "none" and not options.i_accept_unsafe_development:
        parser.error("--isolation none lets programs do what you can; say --i-accept-unsafe-development to have it")
    return options


def _forget_the_environment() -> None:
    """Start over without it, lest a password in it can be found in our memory."""
    if set(os.environ) - {*KEPT_ENVIRONMENT, "LC_CTYPE"}:
        os.execve(sys.executable, [sys.executable, "-I", __file__, *sys.argv[1:]], KEPT_ENVIRONMENT)  # noqa: S606


if __name__ == "__main__":
    sys.exit(main())
