"""The producer's side of the queues, for tests: send, look, delete."""

from typing import Any

import pika

from service_kit.messages import INTERACTIVE_QUEUE, QUEUES, SubmissionJob


class Queues:
    """A connection of the test's own, kept alive by being used; `with` closes it."""

    def __init__(self, amqp_url: str) -> None:
        self._connection = pika.BlockingConnection(pika.URLParameters(amqp_url))
        self._channel = self._connection.channel()
        self._channel.confirm_delivery()
        self.declare()

    def __enter__(self) -> "Queues":
        return self

    def __exit__(self, *exception: object) -> None:
        if self._connection.is_open:
            self._connection.close()

    def declare(self) -> None:
        for queue, arguments in QUEUES.items():
            self._channel.queue_declare(queue, durable=True, arguments=arguments)

    def send(self, submission_id: int, queue: str = INTERACTIVE_QUEUE, request_id: str = "", n: int = 1) -> None:
        job = SubmissionJob(submission_id, f"sub-{submission_id}-{n}", request_id or f"request-{submission_id}")
        self.send_raw(job.to_bytes(), queue)

    def send_raw(self, body: bytes, queue: str = INTERACTIVE_QUEUE, **properties: Any) -> None:
        persistent = pika.BasicProperties(delivery_mode=pika.DeliveryMode.Persistent, **properties)
        self._channel.basic_publish("", queue, body, persistent, mandatory=True)

    def waiting(self, queue: str = INTERACTIVE_QUEUE) -> int:
        """How many messages wait to be given out."""
        return int(self._channel.queue_declare(queue, passive=True).method.message_count)

    def consumers(self, queue: str = INTERACTIVE_QUEUE) -> int:
        return int(self._channel.queue_declare(queue, passive=True).method.consumer_count)

    def take(self, queue: str) -> tuple[Any, bytes] | None:
        """The properties and body of the oldest message, which is gone then."""
        method, properties, body = self._channel.basic_get(queue, auto_ack=True)
        return None if method is None else (properties, body)

    def delete(self, queue: str) -> None:
        self._channel.queue_delete(queue)
