"""Take jobs from the broker, let a pool of threads do them, answer the broker for each. The pika file.

One thread, the caller of `run()`, owns the connection. A pool thread never touches it: it leaves its
answer in a queue and wakes the owner. What is unanswered when a channel dies, the broker gives out again.
"""

from __future__ import annotations

import logging
import random
import threading
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from enum import StrEnum
from queue import Empty, SimpleQueue
from typing import Any

import pika
from pika.adapters.blocking_connection import BlockingChannel, BlockingConnection
from pika.adapters.utils.connection_workflow import AMQPConnectorException
from pika.exceptions import AMQPError

from executor_worker.errors import Abandoned, Unanswerable
from executor_worker.metrics import MESSAGES, REACHED, RECONNECTS, SLOTS_BUSY
from service_kit.messages import BATCH_QUEUE, INTERACTIVE_QUEUE, QUEUES, SubmissionJob, UnknownMessage

log = logging.getLogger(__name__)
logging.getLogger("pika").setLevel(logging.CRITICAL)  # It tells each failed try in seven lines; we tell each change.

# AMQPError alone is not enough: a frozen broker raises AMQPConnectorStackTimeout, a bad name gaierror.
BROKER_FAULTS = (AMQPError, AMQPConnectorException, OSError)

TURN_SECONDS = 0.5
FIRST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS = 1.0, 30.0
BATCH_LOOK_SECONDS = 1.0  # Between two looks into an empty batch queue.
GOODBYE_SECONDS = 3.0  # For threads to notice that the worker goes, when their jobs would not end in time.

DoJob = Callable[[SubmissionJob, bool], None]


class Answer(StrEnum):
    """What the broker is told of a message."""

    ACK = "ack"  # Done with.
    REQUEUE = "requeue"  # For another worker, or for us later.
    REJECT = "reject"  # Into the dead-letter queue.


class ChannelLost(Exception):
    """The channel or its consumer is gone although the connection lives; pika does not raise in this case."""


@dataclass
class _Delivery:
    """One message the broker has given us and waits to hear of."""

    channel: BlockingChannel
    tag: int
    redelivered: bool
    job: SubmissionJob


@dataclass(eq=False)
class _Flight:
    """A job in the pool, with the deliveries that its end will answer."""

    job: SubmissionJob
    redelivered: bool
    deliveries: list[_Delivery] = field(default_factory=list)


class Consumer:
    """Serves both queues with the same slots, interactive first, until `stop()`.

    It cannot lose a job: a message is acknowledged only after `do_job` returned. It may give a job out
    twice (that is what redelivery means); the claim sorts that out.
    """

    def __init__(
        self, amqp_url: str, slots: int, do_job: DoJob, may_take: Callable[[], bool], abandon: threading.Event
    ) -> None:
        self._parameters = _parameters(amqp_url)
        self._slots = slots
        self._do_job = do_job
        self._may_take = may_take
        self._abandon = abandon
        self._pool = ThreadPoolExecutor(slots, thread_name_prefix="slot")
        self._stopping = threading.Event()
        self._connection: BlockingConnection | None = None
        self._channel: BlockingChannel | None = None
        self._consumer_tag: str | None = None
        self._waiting: dict[str, deque[_Delivery]] = {INTERACTIVE_QUEUE: deque(), BATCH_QUEUE: deque()}
        self._flights: set[_Flight] = set()
        self._next_batch_look = 0.0
        self._landed: SimpleQueue[tuple[_Flight, Answer]] = SimpleQueue()
        self._why_not_connected: str | None = "not connected yet"
        REACHED.labels("broker").set(0)

    # Called from outside the owner's thread -------------------------------------------------------

    def stop(self) -> None:
        """Take no more; `run()` returns once the jobs in hand are done. For a thread, not for a signal handler."""
        self._stopping.set()
        self._wake_owner()

    def why_not_ready(self) -> str | None:
        """None when messages can come in, else why not: a readiness check."""
        return self._why_not_connected

    # The owner's thread -----------------------------------------------------------------------------

    def run(self, drain_seconds: float) -> bool:
        """Serve until stopped, then finish the jobs in hand; False when some had to be given back instead."""
        pause = FIRST_PAUSE_SECONDS
        while not self._stopping.is_set():
            try:
                self._connect()
                pause = FIRST_PAUSE_SECONDS
                while not self._stopping.is_set():
                    self._turn()
            except (*BROKER_FAULTS, ChannelLost) as fault:
                self._lost(fault)
                self._stopping.wait(pause * random.uniform(0.5, 1.0))  # noqa: S311  # Not a secret.
                pause = min(LONGEST_PAUSE_SECONDS, pause * 2)
        return self._drain(time.monotonic() + drain_seconds)

    def _connect(self) -> None:
        self._connection = BlockingConnection(self._parameters)
        self._channel = self._connection.channel()
        for queue, arguments in QUEUES.items():
            self._channel.queue_declare(queue, durable=True, arguments=arguments)
        # Never more than can run: the broker's patience with an unanswered message is counted from its delivery.
        self._channel.basic_qos(prefetch_count=self._slots)
        self._consumer_tag = None
        self._why_not_connected = None
        REACHED.labels("broker").set(1)
        log.info("broker_connected")

    def _turn(self) -> None:
        """One round: start what waits, hear the broker, answer it for what has ended."""
        connection, channel = self._live()
        if self._may_take():
            self._consume()
            self._start_waiting()
            self._borrow_for_batch()
        else:
            self._take_no_more()
        # What was borrowed starts in the next round, so that a student's message that came meanwhile goes first.
        may_start_batch = self._waiting[BATCH_QUEUE] and len(self._flights) < self._slots
        connection.process_data_events(time_limit=0 if may_start_batch else TURN_SECONDS)
        self._answer_landed()
        # Both may go without an exception: the channel by the broker's time limit for an
        # unanswered message, the consumer with the queue it listens to.
        if not channel.is_open or (self._consumer_tag and self._consumer_tag not in channel.consumer_tags):
            raise ChannelLost("the broker closed the channel or cancelled the consumer")

    def close(self) -> None:
        """Leave the broker, once `run` is over. What is still unanswered goes back to its queue. May wait for long."""
        self._close()

    def _live(self) -> tuple[BlockingConnection, BlockingChannel]:
        if self._connection is None or self._channel is None:
            raise ChannelLost("not connected")
        return self._connection, self._channel

    # Taking -----------------------------------------------------------------------------------------

    def _consume(self) -> None:
        if self._consumer_tag is None:
            _, channel = self._live()
            self._consumer_tag = channel.basic_consume(INTERACTIVE_QUEUE, self._on_message)

    def _take_no_more(self) -> None:
        """Give back what waits, for a worker that can run it. Jobs that run are left in peace."""
        if self._consumer_tag is None:
            return
        _, channel = self._live()
        tag, self._consumer_tag = self._consumer_tag, None
        channel.basic_cancel(tag)
        for deliveries in self._waiting.values():
            while deliveries:
                self._answer(deliveries.popleft(), Answer.REQUEUE)

    def _on_message(self, channel: BlockingChannel, method: Any, properties: Any, body: bytes) -> None:
        self._take(INTERACTIVE_QUEUE, channel, method, properties, body)

    def _take(self, queue: str, channel: BlockingChannel, method: Any, properties: Any, body: bytes | None) -> None:
        try:
            job = SubmissionJob.from_bytes(body or b"")
        except UnknownMessage as fault:
            log.error("message_rejected", extra={"queue": queue, "reason": str(fault)})
            MESSAGES.labels(Answer.REJECT).inc()
            channel.basic_reject(method.delivery_tag, requeue=False)
            return
        job = replace(job, request_id=job.request_id or _request_id_of(properties))
        delivery = _Delivery(channel, method.delivery_tag, method.redelivered, job)
        if (flight := self._still_flying(delivery)) is not None:
            flight.deliveries.append(delivery)
        else:
            self._waiting[queue].append(delivery)

    def _still_flying(self, delivery: _Delivery) -> _Flight | None:
        """The flight of this very message, when it came back because its channel died while we run it on."""
        if not delivery.redelivered:
            return None
        for flight in self._flights:
            if flight.job.job_key == delivery.job.job_key and not any(d.channel.is_open for d in flight.deliveries):
                return flight
        return None

    def _borrow_for_batch(self) -> None:
        """Fetch one batch message if a slot is idle that no student will miss: the last one stays theirs.

        Batch work is fetched singly and not consumed: prefetched messages would wait here, out of the
        reach of workers that have time. To look is cheap; to fetch from an empty quorum queue is a write.
        """
        kept_free = 1 if self._slots > 1 else 0
        if any(self._waiting.values()) or len(self._flights) + kept_free >= self._slots:
            return
        if time.monotonic() < self._next_batch_look:
            return
        _, channel = self._live()
        if channel.queue_declare(BATCH_QUEUE, passive=True).method.message_count:
            method, properties, body = channel.basic_get(BATCH_QUEUE)
            if method is not None:
                self._take(BATCH_QUEUE, channel, method, properties, body)
                return  # Where one was there may be more: look again as soon as a slot is idle.
        self._next_batch_look = time.monotonic() + BATCH_LOOK_SECONDS

    # Running ----------------------------------------------------------------------------------------

    def _start_waiting(self) -> None:
        for queue in (INTERACTIVE_QUEUE, BATCH_QUEUE):
            while self._waiting[queue] and len(self._flights) < self._slots:
                delivery = self._waiting[queue].popleft()
                flight = _Flight(delivery.job, delivery.redelivered, [delivery])
                self._flights.add(flight)
                SLOTS_BUSY.set(len(self._flights))
                self._pool.submit(self._fly, flight)

    def _fly(self, flight: _Flight) -> None:
        """In a pool thread: do the job, leave the answer, wake the owner of the connection."""
        try:
            self._do_job(flight.job, flight.redelivered)
            answer = Answer.ACK
        except Abandoned as reason:
            log.warning("job_given_back", extra={"submission_id": flight.job.submission_id, "reason": str(reason)})
            answer = Answer.REQUEUE
        except Unanswerable as reason:
            log.error("job_rejected", extra={"submission_id": flight.job.submission_id, "reason": str(reason)})
            answer = Answer.REJECT
        except Exception:  # A fault of ours. The broker counts deliveries, so that this ends in the dead queue.
            log.exception("job_raised", extra={"submission_id": flight.job.submission_id})
            answer = Answer.REQUEUE
        self._landed.put((flight, answer))
        self._wake_owner()

    def _wake_owner(self) -> None:
        connection = self._connection
        if connection is not None:
            try:
                connection.add_callback_threadsafe(lambda: None)
            except BROKER_FAULTS:
                pass  # Nobody listens on a lost connection; its owner looks around by itself before long.

    def _answer_landed(self, patience: float = 0.0) -> None:
        """Answer for every job that has ended; with patience, wait that long for the first."""
        try:
            while True:
                flight, answer = self._landed.get(block=patience > 0, timeout=patience or None)
                patience = 0.0
                self._flights.discard(flight)
                SLOTS_BUSY.set(len(self._flights))
                for delivery in flight.deliveries:
                    self._answer(delivery, answer)
        except Empty:
            return

    def _answer(self, delivery: _Delivery, answer: Answer) -> None:
        if not delivery.channel.is_open:
            return  # A tag means nothing to another channel; the broker has given the message out again.
        MESSAGES.labels(answer).inc()
        if answer is Answer.ACK:
            delivery.channel.basic_ack(delivery.tag)
        else:
            delivery.channel.basic_nack(delivery.tag, requeue=answer is Answer.REQUEUE)

    # Losing the broker, and going -------------------------------------------------------------------

    def _lost(self, fault: BaseException) -> None:
        if self._why_not_connected is None:
            RECONNECTS.inc()
        reason = f"{type(fault).__name__}: {fault}".removesuffix(": ")
        if self._why_not_connected != reason:  # A line for each change, not for each try.
            log.warning("broker_away", extra={"reason": reason})
        self._why_not_connected = reason
        REACHED.labels("broker").set(0)
        for deliveries in self._waiting.values():
            deliveries.clear()  # The broker gives them out again.
        self._close()

    def _close(self) -> None:
        connection, self._connection, self._channel, self._consumer_tag = self._connection, None, None, None
        if connection is not None and connection.is_open:
            try:
                connection.close()
            except BROKER_FAULTS:
                pass  # It was to be closed, and it is.

    def _drain(self, deadline: float) -> bool:
        log.info("draining", extra={"jobs": len(self._flights)})
        self._why_not_connected = "stopping"
        if self._connection is not None:
            try:
                self._take_no_more()
            except BROKER_FAULTS as fault:
                self._lost(fault)
        self._let_land(deadline)
        all_landed = not self._flights
        if not all_landed:
            log.warning("drain_time_over", extra={"jobs": len(self._flights)})
            self._abandon.set()
            self._let_land(time.monotonic() + GOODBYE_SECONDS)
        self._pool.shutdown(wait=False, cancel_futures=True)
        return all_landed

    def _let_land(self, deadline: float) -> None:
        """Until every job has ended. Without the broker too: a stored result does not need its ack."""
        while self._flights and time.monotonic() < deadline:
            try:
                if self._connection is not None:
                    self._connection.process_data_events(time_limit=TURN_SECONDS)
                self._answer_landed(patience=0.0 if self._connection is not None else TURN_SECONDS)
            except BROKER_FAULTS as fault:
                self._lost(fault)


def _request_id_of(properties: Any) -> str:
    """The request's id as the message's properties carry it, should the body have none."""
    return str(properties.correlation_id or (properties.headers or {}).get("x-request-id") or "")


def _parameters(amqp_url: str) -> pika.URLParameters:
    """pika's own defaults wait for ever on a broker that stands still."""
    parameters = pika.URLParameters(amqp_url)
    parameters.heartbeat = 10  # A broker that stands still holds the owner in any question to it for twice that.
    parameters.socket_timeout = 3
    parameters.stack_timeout = 6
    parameters.blocked_connection_timeout = 60
    parameters.client_properties = {"connection_name": "executor_worker"}
    return parameters
