"""Look after what an inline send could not do: unsent messages, silent workers, dead letters.

A process of its own (`flask --app main_service.app dispatch`). Everything it does may happen twice without harm,
since a message is only a wake-up and the claim decides; so it may be killed at any moment, and run beside others.
"""

from __future__ import annotations

import fcntl
import logging
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

from flask import Flask
from sqlalchemy import ColumnElement, and_, bindparam, false, func, make_url, or_, select, update
from sqlalchemy.exc import SQLAlchemyError

from main_service.config import Config
from main_service.extensions import db
from main_service.models import Submission, is_status, job_key
from main_service.rabbitmq_producer import SENT, JobRefused, Line, QueueUnavailable, current_producer
from main_service.submissions.figures import UNFINISHED
from main_service.submissions.intake import PATIENCE_SECONDS
from main_service.submissions.languages import forget_old_workers
from main_service.submissions.leases import give_up, take_back_lapsed
from service_kit.database import begin_reading
from service_kit.messages import SubmissionJob, SubmissionStatus, UnknownMessage

log = logging.getLogger(__name__)

_BATCH = 200
_MARK_EVERY = 50
_SWEEP_SECONDS = 1.0
_COUNT_SECONDS = 5.0
_HOUSEKEEPING_SECONDS = 3600.0
# A row taken by a dispatcher that then died becomes due again after this long.
_TAKEN_SECONDS = 30
_LONGEST_PATIENCE_SECONDS = 3600
# More waiting than this is a backlog: a message that has not come up yet is late, not lost.
_NEARLY_EMPTY = 10
_DEAD_AT_ONCE = 100
_LAST_SWEEP_SECONDS = 8.0


class AlreadyRunning(Exception):
    """Another dispatch process looks after this SQLite database."""


class Dispatcher:
    """Sweeps once a second. Keeps one line to the broker open as long as it holds."""

    def __init__(self, app: Flask) -> None:
        self._app = app
        self._line: Line | None = None
        self._counted_at = self._tidied_at = float("-inf")
        self.swept_at = time.monotonic()

    def run(self, stop: threading.Event) -> None:
        """Sweep until told to stop. An outage of the database or the broker ends a sweep, never the process."""
        while not stop.is_set():
            busy = False
            try:
                busy = self.sweep()
                self.swept_at = time.monotonic()
            except QueueUnavailable as error:
                log.warning("dispatch_without_broker", extra={"reason": str(error)})
                self.swept_at = time.monotonic()  # The database was served; the broker's absence is no fault of ours.
            except SQLAlchemyError:
                log.exception("dispatch_without_database")
            if not busy:
                stop.wait(_SWEEP_SECONDS)
        self._hang_up()

    def sweep_once(self) -> None:
        """One sweep, and the line closed behind it."""
        try:
            self.sweep()
        finally:
            self._hang_up()

    def sweep(self) -> bool:
        """Do everything that is due once; True when there is probably more. Raises what the outage raised."""
        with self._app.app_context():
            take_back_lapsed()
            self._count()
            self._tidy()
            try:
                line = self._open_line()
                sent = _announce(line, _take_unsent())
                sent += _announce(line, _take_stale() if line.waiting() < _NEARLY_EMPTY else [])
                line.take_dead(_bury, limit=_DEAD_AT_ONCE)
            except (QueueUnavailable, SQLAlchemyError):
                self._hang_up()  # A dead letter that could not be dealt with returns to its queue.
                raise
        return sent >= _BATCH

    def _open_line(self) -> Line:
        if self._line is None:
            self._line = current_producer().open_line()
        self._line.keep_alive()
        return self._line

    def _hang_up(self) -> None:
        line, self._line = self._line, None
        if line is not None:
            line.close()

    def _count(self) -> None:
        if time.monotonic() - self._counted_at < _COUNT_SECONDS:
            return
        for state, count in count_unfinished().items():
            UNFINISHED.labels(state).set(count)
        self._counted_at = time.monotonic()

    def _tidy(self) -> None:
        if time.monotonic() - self._tidied_at >= _HOUSEKEEPING_SECONDS:
            forget_old_workers()
            self._tidied_at = time.monotonic()


def count_unfinished() -> dict[str, int]:
    """How many submissions are unsent, queued (sent and not taken yet) and running."""
    begin_reading(db.session)
    unsent, queued = db.session.execute(
        select(
            func.count().filter(Submission.published_at.is_(None)),
            func.count().filter(Submission.published_at.is_not(None)),
        ).where(is_status(SubmissionStatus.QUEUED))
    ).one()
    running = db.session.execute(select(func.count()).where(is_status(SubmissionStatus.RUNNING))).scalar_one()
    db.session.rollback()
    return {"unsent": unsent, "queued": queued, "running": running}


def _take_unsent() -> list[SubmissionJob]:
    """Jobs whose message was never sent, and now ours to send for a while."""
    return _take(Submission.published_at.is_(None), patient=False)


def _take_stale() -> list[SubmissionJob]:
    """Jobs whose message should have come up long ago. Each time we wait twice as long before doubting again."""
    return _take(Submission.published_at.is_not(None), patient=True)


def _take(condition: ColumnElement[bool], *, patient: bool) -> list[SubmissionJob]:
    """Due rows, moved out of the way of other dispatchers, so that none is held locked while the network is slow."""
    now = datetime.now(UTC)
    rows = db.session.execute(
        select(Submission.id, Submission.dispatches, Submission.request_id)
        .where(is_status(SubmissionStatus.QUEUED), condition, Submission.due_at <= now)
        .order_by(Submission.published_at, Submission.due_at)  # As the index has them.
        .limit(_BATCH)
        .with_for_update(skip_locked=True)
    ).all()
    if rows:
        table = Submission.__table__
        db.session.connection().execute(
            table.update()
            .where(table.c.id == bindparam("row"))
            .values(dispatches=table.c.dispatches + 1, due_at=bindparam("due")),
            [
                {
                    "row": row.id,
                    "due": now + timedelta(seconds=_patience(row.dispatches + 1) if patient else _TAKEN_SECONDS),
                }
                for row in rows
            ],
        )
    db.session.commit()
    return [SubmissionJob(row.id, job_key(row.id, row.dispatches + 1), row.request_id) for row in rows]


def _announce(line: Line, jobs: list[SubmissionJob]) -> int:
    """Send them one by one and note which the broker has; what it did not take is due again at once."""
    unmarked: list[int] = []
    sent = 0
    try:
        for job in jobs:
            line.send(job)
            sent += 1
            unmarked.append(job.submission_id)
            SENT.labels("dispatch", "sent").inc()
            log.info("submission_published", extra=_ids_of(job))
            if len(unmarked) >= _MARK_EVERY:
                _mark_published(unmarked)
                unmarked = []
    except JobRefused as error:  # The queue is full, so the rest would be refused as well.
        SENT.labels("dispatch", "refused").inc()
        log.warning("submission_not_announced", extra=_ids_of(jobs[sent]) | {"reason": str(error)})
    finally:
        _mark_published(unmarked)
        _hand_back([job.submission_id for job in jobs[sent:]])
    return sent


def _mark_published(ids: list[int]) -> None:
    if not ids:
        return
    now = datetime.now(UTC)
    db.session.execute(
        update(Submission)
        .where(Submission.id.in_(ids), Submission.published_at.is_(None))
        .values(published_at=now, due_at=now + timedelta(seconds=PATIENCE_SECONDS), rev=Submission.rev + 1)
        .execution_options(synchronize_session=False)
    )
    db.session.commit()


def _hand_back(ids: list[int]) -> None:
    if not ids:
        return
    db.session.execute(
        update(Submission)
        .where(Submission.id.in_(ids), is_status(SubmissionStatus.QUEUED))
        .values(due_at=datetime.now(UTC))
        .execution_options(synchronize_session=False)
    )
    db.session.commit()


def _bury(letter: bytes) -> None:
    """Finish the submission of a message that no worker could deal with, unless a later message stands for it."""
    try:
        job = SubmissionJob.from_bytes(letter)
    except UnknownMessage as error:
        log.error("dead_letter_unreadable", extra={"reason": str(error), "letter": repr(letter[:200])})
        return
    log.error("dead_letter", extra=_ids_of(job))
    dispatches = db.session.execute(
        select(Submission.dispatches).where(Submission.id == job.submission_id)
    ).scalar_one_or_none()
    if dispatches is not None:
        is_latest = job.job_key == job_key(job.submission_id, dispatches)
        waits_for_it = and_(is_status(SubmissionStatus.QUEUED), Submission.dispatches == dispatches)
        ran_by_it = and_(is_status(SubmissionStatus.RUNNING), Submission.claimed_with == job.job_key)
        give_up(and_(Submission.id == job.submission_id, or_(waits_for_it if is_latest else false(), ran_by_it)))
    db.session.commit()


def _patience(dispatches: int) -> int:
    return int(min(PATIENCE_SECONDS * 2 ** min(dispatches - 1, 16), _LONGEST_PATIENCE_SECONDS))


def _ids_of(job: SubmissionJob) -> dict[str, object]:
    return {"submission_id": job.submission_id, "job_key": job.job_key, "request_id": job.request_id}


@contextmanager
def sole_dispatcher(config: Config, stop: threading.Event | None = None) -> Iterator[None]:
    """Hold the right to dispatch. On SQLite only one process has it; PostgreSQL lets several share the rows.

    With `stop`, wait in line until it is our turn (or until stopped); without, raise AlreadyRunning at once.
    """
    if not config.uses_sqlite:
        yield
        return
    with Path(f"{make_url(config.database_url).database}.dispatch.lock").open("a") as file:
        while True:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError as error:
                if stop is None:
                    raise AlreadyRunning("another dispatch process is at work on this database") from error
                log.info("dispatch_waits_for_another")
                if stop.wait(_SWEEP_SECONDS * 5):
                    break  # Told to stop: nothing will be done any more.
        yield


def run_until_told(app: Flask, config: Config, watch: Callable[[Dispatcher], None]) -> None:
    """Dispatch until SIGTERM or SIGINT. `watch` is shown the dispatcher before it starts.

    The work is done in a thread that may be left behind: a frozen broker must not delay the end.
    """
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    dispatcher = Dispatcher(app)
    watch(dispatcher)
    with sole_dispatcher(config, stop):
        worker = threading.Thread(target=dispatcher.run, args=(stop,), name="dispatch", daemon=True)
        worker.start()
        log.info("dispatch_started")
        while worker.is_alive() and not stop.wait(1):
            pass
        if not stop.is_set():
            raise RuntimeError("dispatch ended by itself")  # Its traceback is in the log; the supervisor restarts us.
        worker.join(_LAST_SWEEP_SECONDS)
    log.info("dispatch_stopped")
