"""The other end of the queue: what a worker would find there, over a connection of the test's own."""

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pika

from service_kit.messages import QUEUES


@contextmanager
def channel_to(amqp_url: str) -> Iterator[Any]:
    """An open channel with the topology declared as both sides declare it."""
    connection = pika.BlockingConnection(pika.URLParameters(amqp_url))
    try:
        channel = connection.channel()
        for name, arguments in QUEUES.items():
            channel.queue_declare(queue=name, durable=True, arguments=arguments)
        yield channel
    finally:
        if connection.is_open:
            connection.close()


def take_all(amqp_url: str, queue: str) -> list[tuple[pika.BasicProperties, dict[str, Any]]]:
    """Everything in the queue, acknowledged."""
    found: list[tuple[pika.BasicProperties, dict[str, Any]]] = []
    with channel_to(amqp_url) as channel:
        while True:
            method, properties, body = channel.basic_get(queue)
            if method is None:
                return found
            channel.basic_ack(method.delivery_tag)
            found.append((properties, json.loads(body)))


def wait_until(is_so: Any, seconds: float = 20, pause: float = 0.05) -> Any:
    """The first true answer; AssertionError when there is none in time."""
    deadline = time.monotonic() + seconds
    while not (answer := is_so()):
        assert time.monotonic() < deadline, "it never became true"
        time.sleep(pause)
    return answer
