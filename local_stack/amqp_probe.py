"""Ask an AMQP 0-9-1 broker whether it lets us in, with the standard library alone.

An open port is no answer: when our broker could not bind it, somebody else's sits there. So the
handshake goes on until the broker has accepted the password (Connection.Tune).
"""

import socket
import ssl
import struct
from urllib.parse import unquote, urlsplit

START, TUNE, CLOSE = (10, 10), (10, 30), (10, 50)
# {"capabilities": {"authentication_failure_close": true}}: say why, instead of hanging up.
CAPABILITY = b"\x1cauthentication_failure_close" + b"t\x01"
PROPERTIES = b"\x0ccapabilities" + b"F" + struct.pack(">I", len(CAPABILITY)) + CAPABILITY


def refusal(url: str, timeout: float = 3.0) -> str | None:
    """None when the broker accepts the user and password in the URL, else why not."""
    parts = urlsplit(url)
    if parts.scheme not in ("amqp", "amqps") or not parts.hostname:
        return "not an amqp:// or amqps:// URL"
    port = parts.port or (5671 if parts.scheme == "amqps" else 5672)
    try:
        with socket.create_connection((parts.hostname, port), timeout=timeout) as plain:
            if parts.scheme == "amqps":
                with ssl.create_default_context().wrap_socket(plain, server_hostname=parts.hostname) as secured:
                    return _knock(secured, parts.username, parts.password)
            return _knock(plain, parts.username, parts.password)
    except (OSError, EOFError) as problem:
        return str(problem) or type(problem).__name__


def _knock(connection: socket.socket, user: str | None, password: str | None) -> str | None:
    connection.sendall(b"AMQP\x00\x00\x09\x01")
    if _method(connection)[0] != START:
        return "something that is not an AMQP broker answers there"
    login = f"\0{unquote(user or 'guest')}\0{unquote(password or 'guest')}".encode()
    arguments = (
        struct.pack(">I", len(PROPERTIES))
        + PROPERTIES
        + b"\x05PLAIN"
        + struct.pack(">I", len(login))
        + login
        + b"\x05en_US"
    )
    payload = struct.pack(">HH", 10, 11) + arguments
    connection.sendall(struct.pack(">BHI", 1, 0, len(payload)) + payload + b"\xce")
    answer, rest = _method(connection)
    if answer == CLOSE:
        return rest[3 : 3 + rest[2]].decode(errors="replace")  # A code of two bytes, then the text with its length.
    return None if answer == TUNE else "the broker answers in a way we do not know"


def _method(connection: socket.socket) -> tuple[tuple[int, int], bytes]:
    kind, _channel, size = struct.unpack(">BHI", _exactly(connection, 7))
    if kind != 1 or size > 65536:
        return (0, 0), b""
    payload = _exactly(connection, size + 1)[:-1]
    return struct.unpack(">HH", payload[:4]), payload[4:]


def _exactly(connection: socket.socket, count: int) -> bytes:
    received = b""
    while len(received) < count:
        piece = connection.recv(count - len(received))
        if not piece:
            raise EOFError("the connection was closed during the handshake")
        received += piece
    return received
