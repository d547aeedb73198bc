"""The life of one child of the warm process: confine itself, warm its memory, wait for one job, run it, end.

It is confined before it waits, so that a job finds everything done. Until the job is here, all it runs is
ours; from then on nothing it says is believed.
"""

from __future__ import annotations

import json
import os
import socket
import traceback
from collections.abc import Callable
from typing import Any, NoReturn, Protocol

from executor_worker.runner import wire
from executor_worker.sandbox import box, privileges
from executor_worker.sandbox.box import Confinement
from executor_worker.sandbox.limits import Grant, apply_grant

FINISHED = b"."  # All the supervisor hears once the job is out.
ENDED_BADLY = 70  # Our own code raised; what a program raises is an outcome of its run.

Send = Callable[[dict[str, Any]], None]


class Program(Protocol):
    """What a child can run: notebook.py, and selftest.py."""

    def touch(self) -> None: ...
    def run(self, job: dict[str, Any], send: Send, box_dir: str) -> None: ...


def live(
    channel: socket.socket, entrance: int | None, how: Confinement, order: dict[str, Any], programs: dict[str, Program]
) -> NoReturn:
    """Never returns, whatever happens: what follows in the caller is the warm process's own life.

    `entrance` is that of the seat's memory group (cgroup.py).
    """
    try:
        _be_alone_with(channel, entrance)
        _prepare(channel, how, order, programs)
        _run(channel, how.folder_of(order["fork"]), programs)
    except BaseException:  # noqa: BLE001 - a fork must not unwind into its parent's code.
        _report_failure(channel)
    finally:
        os._exit(ENDED_BADLY)


def _be_alone_with(channel: socket.socket, entrance: int | None) -> None:
    nothing = os.open("/dev/null", os.O_RDWR)
    for descriptor in (0, 1, 2):
        os.dup2(nothing, descriptor)
    wire.say(channel, {"did": "begin"})  # The kernel tells the supervisor who it was that said so.
    if entrance is not None:
        os.write(entrance, b"0")
    privileges.close_all_but(channel.fileno())


def _prepare(channel: socket.socket, how: Confinement, order: dict[str, Any], programs: dict[str, Program]) -> None:
    box.confine(how, order["fork"])
    home = how.folder_of(order["fork"])
    os.environ.update(HOME=home, TMPDIR=home)
    if order["touch"]:
        programs["notebook"].touch()
    wire.say(channel, {"did": "prepare"})


def _run(channel: socket.socket, folder: str, programs: dict[str, Program]) -> None:
    received = wire.hear(channel)
    if not received.data:
        os._exit(0)  # Not needed any more.
    order = received.message
    claims, content = received.descriptors
    job = json.loads(wire.taken_over(content))["job"] | order["extras"]
    apply_grant(Grant(**order["grant"]))
    programs[order["program"]].run(job, _sender(claims), folder)
    channel.send(FINISHED)
    channel.recv(1)  # Until it has been seen what we have used: no longer to be told once we are gone.
    os._exit(0)


def _sender(claims: int) -> Send:
    os.set_blocking(claims, True)

    def send(frame: dict[str, Any]) -> None:
        rest = memoryview(wire.framed(frame))
        while rest:
            rest = rest[os.write(claims, rest) :]

    return send


def _report_failure(channel: socket.socket) -> None:
    try:
        wire.say(channel, {"failed": traceback.format_exc()[-8000:]})
    except (OSError, ValueError):
        return
