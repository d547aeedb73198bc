"""One id for one request, carried from the gateway through the queue into the worker's log."""

from __future__ import annotations

import re
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

HEADER = "X-Request-Id"
_ACCEPTED = re.compile(r"[A-Za-z0-9._-]{8,64}")
_current: ContextVar[str] = ContextVar("request_id", default="")


def current_request_id() -> str:
    """The id of the request or message being handled; empty outside of one."""
    return _current.get()


def accept_request_id(offered: str | None) -> str:
    """The offered id when it has an id's shape, else a fresh one: a header must not write our logs."""
    if offered and _ACCEPTED.fullmatch(offered):
        return offered
    return uuid.uuid4().hex


@contextmanager
def use_request_id(offered: str | None) -> Iterator[str]:
    """Make the (accepted) id current inside the block."""
    request_id = accept_request_id(offered)
    token = _current.set(request_id)
    try:
        yield request_id
    finally:
        _current.reset(token)
