"""The worker's connections: one request each, then facts about it. Hanging up, even by half, ends the run."""

from __future__ import annotations

import os
import socket
from contextlib import suppress
from typing import Any, Protocol

from executor_worker.runner import wire
from executor_worker.runner.loop import Loop
from executor_worker.runner.orders import BadRequest, Hello, Order, read_request

REQUEST_SECONDS = 5.0
LEAVE_SECONDS = 5.0  # For who has been told everything to hang up.
READ_BYTES = 1 << 18


class Owner(Protocol):
    """Who serves them."""

    def request_came(self, client: Client, request: Hello | Order) -> None: ...
    def client_hung_up(self, client: Client) -> None: ...
    def client_closed(self, client: Client) -> None: ...


class Client:
    """One connection, from accept to the last fact."""

    def __init__(self, loop: Loop, connection: socket.socket, owner: Owner) -> None:
        self.claims: int | None = None
        self._loop = loop
        self._connection = connection
        self._owner = owner
        self._received = bytearray()
        self._has_asked = False
        self._has_been_told = False
        self._is_open = True
        connection.setblocking(False)
        self._deadline = loop.after(REQUEST_SECONDS, lambda: self.fail("no request came"))
        loop.watch(connection, self._hear)

    def tell(self, fact: dict[str, Any]) -> None:
        """Facts are small, and a connection holds many of them: who does not read them is not there."""
        with suppress(OSError):
            self._connection.send(wire.framed(fact), socket.MSG_NOSIGNAL)

    def tell_last(self, fact: dict[str, Any]) -> None:
        """Then it is for the other side to close: it may still be busy with sending."""
        self.tell(fact)
        self._has_been_told = True
        self._deadline.cancel()
        self._deadline = self._loop.after(LEAVE_SECONDS, self.close)
        with suppress(OSError):
            self._connection.shutdown(socket.SHUT_WR)

    def fail(self, reason: str) -> None:
        self.tell_last({"event": "failed", "reason": reason})

    def close(self) -> None:
        if not self._is_open:
            return
        self._is_open = False
        self._deadline.cancel()
        self._loop.forget(self._connection)
        self._connection.close()
        self.close_claims()
        self._owner.client_closed(self)

    def close_claims(self) -> None:
        if self.claims is not None:
            os.close(self.claims)
            self.claims = None

    def _hear(self) -> None:
        try:
            received = wire.hear(self._connection, READ_BYTES)
        except BlockingIOError:
            return
        except OSError:
            self._hung_up()
            return
        self._keep_claims(received)
        if not received.data or self._has_asked:
            self._hung_up()  # Nothing is agreed to come after the request, so whatever comes ends it.
            return
        self._received += received.data
        self._read_request()

    def _keep_claims(self, received: wire.Received) -> None:
        if self.claims is None and received.descriptors:
            self.claims = received.descriptors.pop(0)
        received.close()

    def _read_request(self) -> None:
        if len(self._received) < wire.LENGTH.size:
            return
        (length,) = wire.LENGTH.unpack_from(self._received)
        if length > wire.LONGEST_FRAME:
            self.fail("the request is longer than agreed")
            return
        if len(self._received) < wire.LENGTH.size + length:
            return
        self._has_asked = True
        self._deadline.cancel()
        content = bytes(memoryview(self._received)[wire.LENGTH.size :])
        self._received.clear()
        try:
            request = read_request(content)
        except BadRequest as error:
            self.fail(f"bad request: {error}")
            return
        if isinstance(request, Order) and self.claims is None:
            self.fail("bad request: no descriptor for the claims came with it")
            return
        self._owner.request_came(self, request)

    def _hung_up(self) -> None:
        """Stop listening, but not telling: who closes only its sending half wants to hear the last facts."""
        self._loop.forget(self._connection)
        if self._has_been_told:
            self.close()
        else:
            self._deadline.cancel()
            self._owner.client_hung_up(self)
