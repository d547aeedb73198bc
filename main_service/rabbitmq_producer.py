"""Hand jobs to RabbitMQ. The only file of main_service that knows pika.

`RabbitMQProducer.send` is connected, sent, disconnected, as the notes ask. `open_line` keeps one
connection open for the dispatch process. Whatever goes wrong comes out as QueueUnavailable or JobRefused; the caller
never waits longer than a few seconds, because a frozen broker, or one with a full disk, answers nothing at all.
"""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future, InvalidStateError
from contextlib import contextmanager, suppress
from queue import SimpleQueue
from typing import Any, Self

import pika
from flask import Flask, current_app
from pika.adapters.utils.connection_workflow import AMQPConnectorException
from pika.exceptions import AMQPError, ChannelError, NackError, ReentrancyError
from prometheus_client import Counter, Gauge

from service_kit.messages import DEAD_QUEUE, INTERACTIVE_QUEUE, QUEUES, SubmissionJob

# pika's connector errors are not AMQPErrors, and a name that does not resolve is an OSError.
_BROKER_FAILURES = (AMQPError, AMQPConnectorException, ChannelError, ReentrancyError, OSError)

# pika tells of each failed connection in seven lines and a traceback; we tell it in one.
logging.getLogger("pika.adapters").setLevel(logging.CRITICAL)

_SEND_SECONDS = 3.0
_BREAKER_SECONDS = 5.0
_MOST_TOGETHER = 100
_EXTENSION = "main_service.rabbitmq_producer"

SENT = Counter("labs_jobs_sent", "Messages to the workers, by how it went.", ["by", "outcome"])
BROKER_REACHABLE = Gauge(
    "labs_broker_reachable", "1 when the last try reached RabbitMQ, 0 when not.", multiprocess_mode="mostrecent"
)


class QueueUnavailable(Exception):
    """The broker cannot be reached, does not answer, or we do not ask it just now after such a failure."""


class LeftAlone(QueueUnavailable):
    """Not even tried: the last try failed a moment ago."""


class JobRefused(Exception):
    """The broker answered, but did not take this job: the queue is full."""


def connection_parameters(amqp_url: str) -> pika.URLParameters:
    """pika's defaults wait for ever on a blocked broker and 15 s on a frozen one; these do not."""
    parameters = pika.URLParameters(amqp_url)
    parameters.socket_timeout = 2
    parameters.stack_timeout = 3
    parameters.blocked_connection_timeout = 3
    parameters.connection_attempts = 1
    parameters.heartbeat = 10  # A connection that hangs all the same is dropped after 15 s.
    parameters.client_properties = {"connection_name": "main_service"}
    return parameters


class Line:
    """One open, confirmed channel to the broker. Belongs to one thread; raises QueueUnavailable when it breaks."""

    def __init__(self, parameters: pika.URLParameters, queues: Mapping[str, Mapping[str, Any]]) -> None:
        with _translated():
            self._connection = pika.BlockingConnection(parameters)
        try:
            with _translated():
                self._channel = self._connection.channel()
                for name, arguments in queues.items():
                    self._channel.queue_declare(queue=name, durable=True, arguments=dict(arguments))
                # Without confirms a lost message looks sent; without `mandatory` so does one that no queue took.
                self._channel.confirm_delivery()
        except QueueUnavailable:
            self.close()
            raise
        BROKER_REACHABLE.set(1)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def send(self, job: SubmissionJob) -> None:
        """Returns when the broker has the job on disk. Raises JobRefused when it did not take it."""
        properties = pika.BasicProperties(
            content_type="application/json",
            message_id=job.job_key,
            correlation_id=job.request_id,
            timestamp=int(time.time()),
            headers={"x-request-id": job.request_id},
            delivery_mode=pika.spec.DeliveryMode.Persistent,
        )
        with _translated():
            self._channel.basic_publish(
                exchange="",
                routing_key=INTERACTIVE_QUEUE,
                body=job.to_bytes(),
                properties=properties,
                mandatory=True,
            )

    def waiting(self) -> int:
        """How many jobs no worker has taken yet."""
        with _translated():
            declared = self._channel.queue_declare(queue=INTERACTIVE_QUEUE, passive=True)
        return int(declared.method.message_count)

    def take_dead(self, handle: Callable[[bytes], None], limit: int) -> int:
        """Give up to `limit` dead letters to `handle`; each is gone once that returned. How many there were."""
        for count in range(limit):
            with _translated():
                method, _, body = self._channel.basic_get(DEAD_QUEUE)
            if method is None:
                return count
            handle(body)  # When this raises, the letter stays unacknowledged and comes again.
            with _translated():
                self._channel.basic_ack(method.delivery_tag)
        return limit

    def keep_alive(self) -> None:
        """Answer heartbeats, and notice when the broker is gone. To be called every few seconds."""
        with _translated():
            self._connection.process_data_events(time_limit=0)
            if not self._channel.is_open:
                raise ConnectionError("the broker closed the channel")

    def close(self) -> None:
        with suppress(*_BROKER_FAILURES):
            if self._connection.is_open:
                self._connection.close()


class RabbitMQProducer:
    """The way to the broker, for one process. Opens nothing before it is used, so it may be made before a fork."""

    def __init__(self, amqp_url: str) -> None:
        self._parameters = connection_parameters(amqp_url)
        self._breaker = _Breaker(_BREAKER_SECONDS)
        self._sender = _Sender(self._parameters)

    def install(self, app: Flask) -> None:
        app.extensions[_EXTENSION] = self

    def send(self, job: SubmissionJob) -> None:
        """Connected, sent, disconnected. Raises QueueUnavailable or JobRefused, after three seconds at most.

        For some seconds after a failure nothing is tried: else every request would pay those three seconds
        for a frozen broker, and soon all threads would be waiting.
        """
        outcome = "sent"
        try:
            self._breaker.allow()
            self._sender.send(job, _SEND_SECONDS)
            self._breaker.close()
        except LeftAlone:
            outcome = "skipped"
            raise
        except QueueUnavailable:
            outcome = "failed"
            self._breaker.open()
            raise
        except JobRefused:
            outcome = "refused"
            self._breaker.close()
            raise
        finally:
            SENT.labels("request", outcome).inc()

    def open_line(self) -> Line:
        """A line with every queue declared, for who sends many or reads dead letters."""
        return Line(self._parameters, QUEUES)


def current_producer() -> RabbitMQProducer:
    """The producer of the app that is handling this request or command."""
    producer: RabbitMQProducer = current_app.extensions[_EXTENSION]
    return producer


class _Sender:
    """A thread that connects, sends all that has come together meanwhile, and disconnects.

    One job alone goes out at once. In a burst the requests share a connection, which costs twenty times what
    sending over it does. And the one who waits can stop waiting: pika has timeouts for connecting and for a blocked
    broker, but for a confirm it waits as long as the heartbeat allows. Should a message that was given up on get
    through after all, it is sent twice in all, which the claim makes harmless.
    """

    def __init__(self, parameters: pika.URLParameters) -> None:
        self._parameters = parameters
        self._jobs: SimpleQueue[tuple[SubmissionJob, Future[None]]] = SimpleQueue()
        self._starting = threading.Lock()
        self._started_in: int | None = None

    def send(self, job: SubmissionJob, seconds: float) -> None:
        """Returns when the broker has it. Raises JobRefused, or QueueUnavailable: also when no answer came in time."""
        self._start()
        outcome: Future[None] = Future()
        self._jobs.put((job, outcome))
        try:
            outcome.result(timeout=seconds)
        except TimeoutError as error:
            outcome.cancel()  # When it has not been sent yet, it need not be any more: dispatch will.
            BROKER_REACHABLE.set(0)
            raise QueueUnavailable(f"no answer within {seconds:.0f} s") from error

    def _start(self) -> None:
        if self._started_in != os.getpid():  # Threads do not live on in a forked child.
            with self._starting:
                if self._started_in != os.getpid():
                    threading.Thread(target=self._run, name="send-jobs", daemon=True).start()
                    self._started_in = os.getpid()

    def _run(self) -> None:
        while True:
            together = [self._jobs.get()]
            while len(together) < _MOST_TOGETHER and not self._jobs.empty():
                together.append(self._jobs.get())
            self._connect_send_disconnect(together)

    def _connect_send_disconnect(self, together: list[tuple[SubmissionJob, Future[None]]]) -> None:
        try:
            with Line(self._parameters, {INTERACTIVE_QUEUE: QUEUES[INTERACTIVE_QUEUE]}) as line:
                for job, outcome in together:
                    if not outcome.set_running_or_notify_cancel():
                        continue  # Nobody waits for it any more.
                    try:
                        line.send(job)
                    except JobRefused as error:
                        outcome.set_exception(error)
                    else:
                        outcome.set_result(None)
        except Exception as error:  # noqa: BLE001  # The thread must live on; who waits raises it.
            for _, outcome in together:
                with suppress(InvalidStateError):  # Sent before the failure, or given up just now.
                    outcome.set_exception(error)


class _Breaker:
    """Open after a failure: nobody tries for a while; then one at a time, until one gets through."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._lock = threading.Lock()
        self._is_open = False
        self._next_try = 0.0

    def allow(self) -> None:
        """Returns when this caller may try. Raises LeftAlone when not."""
        with self._lock:
            if not self._is_open:
                return
            if time.monotonic() < self._next_try:
                raise LeftAlone("left alone after a failure")
            self._next_try = time.monotonic() + self._seconds  # This caller tries on behalf of all.

    def open(self) -> None:
        with self._lock:
            self._is_open, self._next_try = True, time.monotonic() + self._seconds

    def close(self) -> None:
        with self._lock:
            self._is_open = False


@contextmanager
def _translated() -> Iterator[None]:
    """Foreign errors end here."""
    try:
        yield
    except NackError as error:
        raise JobRefused("the queue is full") from error
    except _BROKER_FAILURES as error:
        BROKER_REACHABLE.set(0)
        raise QueueUnavailable(f"{type(error).__name__}: {error}") from error
