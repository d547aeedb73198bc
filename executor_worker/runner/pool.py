"""Children that wait, confined and warm, and the seats they wait in. Refilled when it disturbs nobody."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from contextlib import suppress
from typing import Any, Protocol

from executor_worker.runner import log, wire
from executor_worker.runner.loop import Loop, Timer
from executor_worker.runner.run import Run
from executor_worker.runner.seat import Seat, State
from executor_worker.runner.warm import WarmProcess
from executor_worker.sandbox.box import Confinement
from executor_worker.sandbox.cgroup import Groups

QUIET_SECONDS = 0.05  # So long the programs that run are left alone before a child is made beside them.
START_SECONDS = 10.0
PAUSE_AFTER_FAILURE_SECONDS = 0.5
MOST_FAILURES = 5

Message = dict[str, Any]


class Owner(Protocol):
    """Who is told when something can go on."""

    def seats_have_changed(self) -> None: ...
    def pool_is_broken(self, reason: str) -> None: ...


class Pool:
    """As many children waiting as there are slots, so that a burst finds all of them ready."""

    def __init__(
        self,
        loop: Loop,
        how: Confinement,
        numbers: Sequence[int],
        waiting: int,
        groups: Groups | None,
        owner: Owner,
    ) -> None:
        """A seat for each of `numbers`; in `waiting` of them, if so many are free, a child waits."""
        self._loop = loop
        self._waiting = waiting
        self._owner = owner
        self.seats = {
            number: Seat(number, how, groups.group(number) if groups is not None else None) for number in numbers
        }
        self._source: WarmProcess | None = None
        self._failures = 0
        self._timer: Timer | None = None
        self._handed_out_at = 0.0
        self._is_wanted = False

    def count(self, *states: State) -> int:
        return sum(seat.state in states for seat in self.seats.values())

    def draw_from(self, source: WarmProcess | None) -> None:
        """Children come from here from now on; those of another that still wait are sent away."""
        self._source = source
        for seat in self.seats.values():
            if seat.state in (State.STARTING, State.READY) and seat.parent is not source:
                self._send_away(seat)
        self.refill()

    def take(self) -> Seat | None:
        """A child that is ready; its seat is busy from now on. None when there is none, and one is on its way."""
        self._is_wanted = False
        for seat in self.seats.values():
            if seat.state is State.READY:
                seat.state = State.BUSY
                self._handed_out_at = time.monotonic()
                if seat.parent is not None:
                    seat.parent.runs += 1
                self._refill_later(QUIET_SECONDS)
                return seat
        self._is_wanted = True
        self.refill()
        return None

    def hand_out(self, seat: Seat, run: Run) -> None:
        """The child has its job now. From here on it is the student's, and one thing is left for us to hear."""
        seat.run = run

    def refill(self) -> None:
        """Make children now if nobody runs or somebody waits for one; else when it has been quiet for a moment."""
        if self._source is None:
            return
        waiting = self.count(State.STARTING, State.READY)
        empty = [seat for seat in self.seats.values() if seat.state is State.EMPTY]
        for seat in empty[: max(0, self._waiting - waiting)]:
            quiet_for = time.monotonic() - self._handed_out_at
            if waiting and self.count(State.BUSY) and quiet_for < QUIET_SECONDS:
                self._refill_later(QUIET_SECONDS - quiet_for)
                return
            # Where there is pressure a child warms itself in the run: somebody waits, and it is less work in all.
            is_pressed = not self.count(State.READY) and bool(self.count(State.BUSY) or self._is_wanted)
            self._have_born(seat, self._source, touch=not is_pressed)
            waiting += 1

    def ended(self, message: Message) -> None:
        """A child is gone, and the kernel's account of it has come."""
        seat = self.seats[message["seat"]]
        run, was = seat.run, seat.state
        self._vacate(seat)
        if run is not None:
            run.over(message["status"], message["cpu_us"], message["most_resident_kib"])
        elif was in (State.STARTING, State.READY):
            self._count_failure(f"a child ended while it waited (status {message['status']})")
        self._owner.seats_have_changed()
        self.refill()

    def unborn(self, number: int, reason: str) -> None:
        self._vacate(self.seats[number])
        self._count_failure(reason)

    def orphaned(self, parent: WarmProcess) -> None:
        """The warm process died. Its children die with it, and nobody is left to say how."""
        if self._source is parent:
            self._source = None
        for seat in self.seats.values():
            if seat.parent is parent:
                seat.kill()
                run = seat.run
                self._vacate(seat)
                if run is not None:
                    run.lost("the warm process died")

    def close(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._source = None
        for seat in self.seats.values():
            seat.kill()
            self._vacate(seat)

    # Births -------------------------------------------------------------------------------------------

    def _have_born(self, seat: Seat, source: WarmProcess, touch: bool) -> None:
        ours, theirs = wire.pair()
        given = [theirs.detach(), *([seat.group.open_entrance()] if seat.group is not None else [])]
        seat.take(source, ours)
        self._loop.watch(ours, lambda: self._hear(seat))
        seat.deadline = self._loop.after(START_SECONDS, seat.kill)
        try:
            source.fork(seat.number, touch, given)
        except OSError as error:
            self.unborn(seat.number, f"the warm process does not listen: {error}")
        finally:
            for descriptor in given:
                os.close(descriptor)

    def _hear(self, seat: Seat) -> None:
        if seat.run is not None:
            self._hear_program(seat, seat.run)
            return
        received = wire.hear(seat.channel)
        if not received.data:
            self._loop.forget(seat.channel)  # How it ended is told by its parent.
            return
        match received.message:
            case {"did": "begin"}:
                self._recognize(seat, received.pid)
            case {"did": "prepare"}:
                self._welcome(seat)
            case {"failed": reason}:
                log.event("child_failed", "ERROR", seat=seat.number, reason=reason)

    def _hear_program(self, seat: Seat, run: Run) -> None:
        """Whatever it says, it says that it is finished. Without room for descriptors: those it sends are dropped."""
        if seat.channel.recv(1):
            run.finished()
        self._hang_up(seat)  # Also when it has closed its end, or died: its parent tells how.
        self._owner.seats_have_changed()

    def _recognize(self, seat: Seat, pid: int | None) -> None:
        with suppress(ProcessLookupError):  # Dead already; its parent will say so.
            seat.occupy(pid or 0)

    def _welcome(self, seat: Seat) -> None:
        if seat.deadline is not None:
            seat.deadline.cancel()
        seat.state = State.READY
        self._failures = 0
        self._owner.seats_have_changed()

    def _send_away(self, seat: Seat) -> None:
        seat.state = State.LEAVING
        self._hang_up(seat)

    def _vacate(self, seat: Seat) -> None:
        if seat.deadline is not None:
            seat.deadline.cancel()
        self._hang_up(seat)
        seat.clear()

    def _hang_up(self, seat: Seat) -> None:
        if seat.has_channel:
            self._loop.forget(seat.channel)
            seat.close_channel()

    def _count_failure(self, reason: str) -> None:
        self._failures += 1
        log.event("child_lost", "WARNING", reason=reason, in_a_row=self._failures)
        if self._failures >= MOST_FAILURES:
            self._owner.pool_is_broken(reason)
        self._refill_later(PAUSE_AFTER_FAILURE_SECONDS)

    def _refill_later(self, seconds: float) -> None:
        if self._timer is None or not self._timer.is_pending:
            self._timer = self._loop.after(seconds, self.refill)
