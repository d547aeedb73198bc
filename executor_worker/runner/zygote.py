"""The warm process: marimo loaded, a notebook run, one thread; it forks a child whenever it is told to.

It knows neither jobs nor clients. It tells the supervisor what the kernel told it about its children: how
each ended, and what it used. Where it can, it lives in a sealed root without network, and so do they.
"""

from __future__ import annotations

import gc
import os
import selectors
import socket
import sys
import traceback
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from executor_worker.runner import child, selftest, wire
from executor_worker.sandbox import box, privileges, sealed_root

OUR_PACKAGE = str(Path(__file__).parents[1])
OUT_OF_MEMORY_SCORE = "500"  # When the machine has none left, this goes before anybody's database.


def main(channel: socket.socket) -> None:
    """Warm up as the supervisor's first message says, then fork until the supervisor is gone."""
    with suppress(BrokenPipeError):  # It is gone already.
        _live(channel)


def _live(channel: socket.socket) -> None:
    how = box.Confinement(**(order := wire.hear(channel).message)["how"])
    with suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text(OUT_OF_MEMORY_SCORE)
    try:
        outside = _enter(how, order["seats"])
    except OSError as error:
        wire.say(channel, {"event": "refused", "reason": str(error)})
        return
    wire.say(channel, {"event": "entered"})  # Only now are we the process we will be; the kernel tells our number.
    try:
        warm = _warm_up(how, outside)
    except Exception:  # noqa: BLE001 - whatever it is, the supervisor has to say it.
        wire.say(channel, {"event": "failed", "reason": traceback.format_exc()[-8000:]})
        return
    with channel, selectors.DefaultSelector() as selector:
        nursery = Nursery(channel, how, outside.process_namespace, warm, selector)
        wire.say(channel, {"event": "ready", "facts": warm["notebook"].facts()})
        nursery.serve()


@dataclass(frozen=True)
class Outside:
    """Descriptors of what cannot be opened any more, once the root is sealed."""

    threads: int
    process_namespace: int | None


def _enter(how: box.Confinement, seats: int) -> Outside:
    """Into the namespaces, if so it shall be."""
    is_sealed = how.isolation == "namespaces"
    if is_sealed:
        sealed_root.enter_namespaces(None if how.has_own_users else how.user_of(0))
    outside = Outside(
        threads=os.open("/proc/self/task", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC),
        process_namespace=os.open("/proc/self/ns/pid", os.O_RDONLY | os.O_CLOEXEC) if is_sealed else None,
    )
    if is_sealed:
        sealed_root.seal((*how.readable, OUR_PACKAGE), [how.user_of(seat) for seat in range(seats)])
    privileges.hide_memory()
    return outside


def _warm_up(how: box.Confinement, outside: Outside) -> dict[str, Any]:
    from executor_worker.runner import notebook

    os.chdir(os.environ["HOME"])
    notebook.warm_up()
    if len(os.listdir(outside.threads)) > 1:  # noqa: PTH208 - an open folder, not a path.
        raise RuntimeError(
            "a library has started threads; a fork would take none of them along, but all of their locks"
        )
    if how.isolation == "namespaces":
        sealed_root.cover_from_sight(OUR_PACKAGE)
    our_home = str(Path(OUR_PACKAGE).parent)
    sys.path[:] = [entry for entry in sys.path if entry != our_home]
    gc.collect()
    gc.freeze()  # What is here now is never looked at again, so its memory stays shared with every child.
    gc.disable()
    return {"notebook": notebook, "selftest": selftest}


class Nursery:
    """Forks children and buries them."""

    def __init__(
        self,
        channel: socket.socket,
        how: box.Confinement,
        home: int | None,
        programs: dict[str, Any],
        selector: selectors.BaseSelector,
    ) -> None:
        self._channel = channel
        self._how = how
        self._home = home
        self._programs = programs
        self._selector = selector

    def serve(self) -> None:
        """Until the supervisor hangs up. As the first process of our namespace we take all children with us."""
        self._selector.register(self._channel, selectors.EVENT_READ, None)
        while True:
            for key, _ in self._selector.select():
                if key.data is not None:
                    self._bury(key.fd, *key.data)
                elif not self._obey():
                    return

    def _obey(self) -> bool:
        received = wire.hear(self._channel)
        if not received.data:
            return False
        order = received.message
        channel, *entrance = received.descriptors
        try:
            self._fork(socket.socket(fileno=channel), entrance[0] if entrance else None, order)
        except OSError as error:
            wire.say(self._channel, {"event": "unborn", "seat": order["fork"], "reason": str(error)})
        finally:
            received.close()
        return True

    def _fork(self, channel: socket.socket, entrance: int | None, order: dict[str, Any]) -> None:
        pid = os.fork() if self._home is None else sealed_root.fork_into_own_process_namespace(self._home)
        if pid == 0:
            child.live(channel, entrance, self._how, order, self._programs)
        channel.detach()
        self._selector.register(os.pidfd_open(pid), selectors.EVENT_READ, (pid, order["fork"]))

    def _bury(self, descriptor: int, pid: int, seat: int) -> None:
        self._selector.unregister(descriptor)
        os.close(descriptor)
        _, status, used = os.wait4(pid, 0)
        end = {
            "event": "ended",
            "seat": seat,
            "status": status,
            "cpu_us": round((used.ru_utime + used.ru_stime) * 1_000_000),
            "most_resident_kib": used.ru_maxrss,
        }
        with suppress(BrokenPipeError):  # Nobody wants to know any more.
            wire.say(self._channel, end)
