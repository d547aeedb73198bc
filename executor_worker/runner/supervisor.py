"""The runner's first process: listens, keeps the pool and its warm process, holds runs to their limits, states facts.

It never runs a line of a student's program and never reads what one says. It loads no library but Python's
own, so what it does can be read here and in sandbox/.
"""

from __future__ import annotations

import os
import signal
import socket
import time
import traceback
from collections import deque
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from executor_worker.runner import log
from executor_worker.runner.baits import Baits
from executor_worker.runner.clients import Client
from executor_worker.runner.door import Door
from executor_worker.runner.loop import Loop
from executor_worker.runner.orders import Hello, Order
from executor_worker.runner.pool import Pool
from executor_worker.runner.run import Run
from executor_worker.runner.seat import Seat, State
from executor_worker.runner.trial import Trial
from executor_worker.runner.warm import WarmProcess
from executor_worker.sandbox import folders
from executor_worker.sandbox.box import Confinement
from executor_worker.sandbox.cgroup import Groups
from executor_worker.sandbox.usage import Gone

STOPPED = 0
FAILED = 70
UNSAFE = 78  # EX_CONFIG: starting again will not help.

RECYCLE_AFTER_RUNS = 500
RECYCLE_AFTER_SECONDS = 15 * 60
LOOK_SECONDS = 15.0
PAUSE_BEFORE_ANOTHER_SECONDS = 1.0
MOST_CLIENTS = 256


class Supervisor:
    """Runs until it is told to stop, or may not go on. `hows` are the ways to confine, the best first."""

    def __init__(self, door: Door, slots: int, hows: Sequence[Confinement], groups: Groups | None) -> None:
        self._door = door
        self._slots = slots
        self._seats = 3 * slots  # For as many who run, as many who wait, and as many whom the kernel is taking apart.
        self._hows = deque(hows)
        self._groups = groups
        self._loop = Loop()
        self._exit_code = STOPPED
        self._clients: set[Client] = set()
        self._waiting: deque[tuple[Client, Order]] = deque()
        self._runs: dict[Client, Run] = {}
        self._pool: Pool | None = None
        self._current: WarmProcess | None = None
        self._coming: WarmProcess | None = None
        self._retired: set[WarmProcess] = set()
        self._trial: Trial | None = None

    def run(self) -> int:
        """The exit code, when all is over."""
        self._on_signals()
        try:
            self._begin()
            self._loop.after(LOOK_SECONDS, self._look)
            self._loop.run()
        except Exception:  # noqa: BLE001 - whatever it is, no program may go on without us.
            log.event("runner_failed", "CRITICAL", reason=traceback.format_exc())
            self._exit_code = FAILED
        self._close()
        return self._exit_code

    # The warm process: made, tried, replaced ---------------------------------------------------------------

    def _begin(self) -> None:
        """Warm up the first process, in the first way that is left."""
        how = self._hows[0]
        if how.isolation != "namespaces":
            try:
                folders.prepare(how.boxes, self._users(how))
            except OSError as error:
                log.event("runner_cannot_start", "CRITICAL", reason=str(error))
                self._stop(UNSAFE)
                return
        self._warm_another()

    def _users(self, how: Confinement) -> list[int]:
        return [how.user_of(seat) for seat in range(self._seats + 1)]  # And one for the trial of a new process.

    def _warm_another(self) -> None:
        if self._coming is None:
            self._coming = WarmProcess(self._loop, self._hows[0], self._seats + 1, self)

    def warm(self, process: WarmProcess) -> None:
        log.event("runner_warm", seconds=round(time.monotonic() - process.started_at, 2))
        if self._hows[0].isolation == "none":
            self._adopt(process)
            return
        beside = str(Path(self._door.path).parent)
        self._trial = Trial(self._loop, self._hows[0], self._seats, process, self._judge, Baits(beside))

    def _judge(self, came_through: list[str]) -> None:
        self._trial = None
        if came_through:
            log.event("self_test_failed", "CRITICAL", came_through=came_through, isolation=self._hows[0].isolation)
            self._stop(UNSAFE)
        elif self._coming is not None:
            self._adopt(self._coming)

    def _adopt(self, process: WarmProcess) -> None:
        """Every child is its child from now on. The one before lives until the last of its own has ended."""
        self._coming = None
        if self._current is not None:
            self._retired.add(self._current)
        self._current = process
        if self._pool is None:
            self._pool = Pool(self._loop, self._hows[0], range(self._seats), self._slots, self._groups, self)
        self._pool.draw_from(process)
        self._release_retired()

    def cold(self, process: WarmProcess, reason: str, is_refused: bool) -> None:
        """It died, or never became warm."""
        log.event("runner_cold", "WARNING" if is_refused else "ERROR", reason=reason, isolation=self._hows[0].isolation)
        self._retired.discard(process)
        if self._pool is not None:
            self._pool.orphaned(process)
        if process is self._current:
            self._current = None
        if process is self._coming:
            self._coming = None
            if self._trial is not None:
                self._trial.abandon()
                self._trial = None
            if self._pool is None:
                self._try_otherwise(is_refused)
                return
        if self._current is None:
            self._loop.after(PAUSE_BEFORE_ANOTHER_SECONDS, self._warm_another)

    def _try_otherwise(self, is_refused: bool) -> None:
        """At the first start only: what the system refuses may be had in another way; what is broken may not."""
        if is_refused and len(self._hows) > 1:
            self._hows.popleft()
            self._begin()
        else:
            self._stop(UNSAFE if is_refused else FAILED)

    def _look(self) -> None:
        """Now and then. Children of one process share its layout in memory: after a while, have another."""
        self._loop.after(LOOK_SECONDS, self._look)
        if self._groups is not None:
            self._groups.remove_leftovers()
        process = self._current
        if process is None or not process.runs:
            return
        age = time.monotonic() - process.started_at
        if process.runs >= RECYCLE_AFTER_RUNS or age >= RECYCLE_AFTER_SECONDS:
            self._warm_another()

    def _release_retired(self) -> None:
        if self._pool is None:
            return
        parents = {seat.parent for seat in self._pool.seats.values()}
        for process in self._retired - parents:
            self._retired.discard(process)
            process.let_go()

    # Children: born, ended ---------------------------------------------------------------------------------

    def unborn(self, process: WarmProcess, seat: int, reason: str) -> None:
        if (pool := self._pool_of(seat)) is not None:
            pool.unborn(seat, reason)

    def ended(self, process: WarmProcess, message: dict[str, Any]) -> None:
        if (pool := self._pool_of(message["seat"])) is not None:
            pool.ended(message)

    def _pool_of(self, seat: int) -> Pool | None:
        for pool in (self._pool, self._trial and self._trial.pool):
            if pool and seat in pool.seats:
                return pool
        return None

    def seats_have_changed(self) -> None:
        if not self._door.is_open:
            self._open_door()
        self._serve()
        self._release_retired()

    def pool_is_broken(self, reason: str) -> None:
        """Nobody can be served; say so instead of letting them wait. The pool goes on trying."""
        if not self._door.is_open:
            log.event("runner_cannot_start", "CRITICAL", reason=reason)
            self._stop(FAILED)
            return
        while self._waiting:
            self._waiting.popleft()[0].fail(f"no child can be made: {reason}")

    # Clients -------------------------------------------------------------------------------------------------

    def _open_door(self) -> None:
        self._loop.watch(self._door.open(), self._let_in)
        if self._groups is not None:
            self._groups.remove_leftovers()  # Once more: who was killed with us running may have taken a while to die.
        how = self._hows[0]
        log.event(
            "runner_listening",
            "WARNING" if how.isolation == "none" else "INFO",
            socket=self._door.path,
            isolation=how.isolation,
            own_users=how.has_own_users,
            cgroup=self._groups.version if self._groups else "none",
            slots=self._slots,
        )

    def _let_in(self) -> None:
        if (connection := self._door.let_in()) is None:
            return
        if len(self._clients) >= MOST_CLIENTS:
            connection.close()
            return
        self._clients.add(Client(self._loop, connection, self))

    def request_came(self, client: Client, request: Hello | Order) -> None:
        if isinstance(request, Hello):
            client.tell_last(self._introduction())
            return
        self._waiting.append((client, request))
        self._serve()

    def _introduction(self) -> dict[str, Any]:
        how, groups = self._hows[0], self._groups
        return {
            "event": "hello",
            "isolation": how.isolation,
            "cgroup": groups.version if groups else "none",
            "memory_source": "cgroup" if groups else "rusage",
            **(self._current.facts if self._current else {"python": "", "marimo": "", "packages": []}),
            "slots": self._slots,
            "pool": self._pool.count(State.READY) if self._pool else 0,
        }

    def client_hung_up(self, client: Client) -> None:
        """It has hung up. Nobody waits for its result any more, but it may still listen for the facts."""
        if client in self._runs:
            self._runs[client].kill("cancelled")
            return
        self._waiting = deque(each for each in self._waiting if each[0] is not client)
        client.close()

    def client_closed(self, client: Client) -> None:
        self._clients.discard(client)

    def _serve(self) -> None:
        """First come, first served, as far as slots and ready children reach."""
        while self._waiting and self._pool is not None and len(self._runs) < self._slots:
            if (seat := self._pool.take()) is None:
                return
            client, order = self._waiting[0]
            if self._start(client, order, seat):
                self._waiting.popleft()

    def _start(self, client: Client, order: Order, seat: Seat) -> bool:
        """False when the child was found dead: another has to do it."""
        if self._pool is None or client.claims is None:
            return False
        run = Run(self._loop, seat, order, lambda facts: self._finish(client, facts))
        try:
            run.begin(order, client.claims, {"output_bytes": order.limits.output_bytes})
        except (OSError, Gone):
            seat.state = State.LEAVING
            seat.kill()
            return False
        self._runs[client] = run
        client.close_claims()
        client.tell({"event": "started", "pid": seat.pid})
        self._pool.hand_out(seat, run)
        return True

    def _finish(self, client: Client, facts: dict[str, Any]) -> None:
        self._runs.pop(client, None)
        client.tell_last(facts)
        log.event("run_over", "WARNING" if self._hows[0].isolation == "none" else "INFO", **facts)

    # The end -------------------------------------------------------------------------------------------------

    def _on_signals(self) -> None:
        """Signals become something to read, like all else."""
        hear, tell = socket.socketpair()
        for end in (hear, tell):
            end.setblocking(False)
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGCHLD):
            signal.signal(number, lambda *_: None)
        signal.set_wakeup_fd(tell.fileno(), warn_on_full_buffer=False)
        self._signal_ends = (hear, tell)
        self._loop.watch(hear, self._take_signals)

    def _take_signals(self) -> None:
        numbers = set(self._signal_ends[0].recv(4096))
        if numbers & {signal.SIGTERM, signal.SIGINT}:
            log.event("runner_stopping", running=len(self._runs))
            self._stop(STOPPED)
        if signal.SIGHUP in numbers:
            self._warm_another()  # For an operator who has changed what programs may import.
        if signal.SIGCHLD in numbers:
            _bury_warm_processes()

    def _stop(self, exit_code: int) -> None:
        self._exit_code = exit_code
        self._loop.stop()

    def _close(self) -> None:
        self._door.close()
        if self._pool is not None:
            self._pool.close()
        for client in list(self._clients):
            client.fail("the runner is stopping")
        for process in (self._current, self._coming, *self._retired):
            if process is not None:
                process.let_go()
        _bury_warm_processes(wait=True)
        if self._groups is not None:
            self._groups.remove()
        if (how := self._hows[0]).isolation != "namespaces":
            folders.remove(how.boxes, self._users(how))


def _bury_warm_processes(wait: bool = False) -> None:
    """The first of each pair that enters a namespace, the second when it is let go, and whoever they left behind."""
    with suppress(ChildProcessError):
        while os.waitpid(-1, 0 if wait else os.WNOHANG) != (0, 0):
            pass
