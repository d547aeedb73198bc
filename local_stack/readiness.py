"""Ask a part whether it does its work: None when it does, else why not yet, in a few words."""

import http.client
import json
import socket
import struct
from pathlib import Path
from typing import Any

PATIENCE_SECONDS = 3


def http_answer(port: int, path: str) -> tuple[int, str]:
    """Status and body from a loopback port; (0, reason) when nobody answers."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE_SECONDS)
    try:
        connection.request("GET", path)
        answer = connection.getresponse()
        return answer.status, answer.read(65536).decode(errors="replace").strip()
    except (OSError, http.client.HTTPException) as problem:
        return 0, str(problem) or type(problem).__name__
    finally:
        connection.close()


def web(port: int, path: str) -> str | None:
    """Ready means 200."""
    status, body = http_answer(port, path)
    if status == 200:
        return None
    return f"{path} answers {status}: {body[:200]}" if status else body


def runner(path: Path) -> str | None:
    """Ready means that the runner's supervisor greets: its self-test is through and its zygote is warm."""
    greeting = runner_hello(path)
    return greeting if isinstance(greeting, str) else None


def runner_hello(path: Path) -> dict[str, Any] | str:
    """What the runner says of itself, or why it says nothing."""
    try:
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(PATIENCE_SECONDS)
            connection.connect(str(path))
            request = json.dumps({"op": "hello"}).encode()
            connection.sendall(struct.pack(">I", len(request)) + request)
            (size,) = struct.unpack(">I", _exactly(connection, 4))
            greeting: dict[str, Any] = json.loads(_exactly(connection, min(size, 1 << 20)))
            return greeting
    except (OSError, ValueError, EOFError) as problem:
        return str(problem) or type(problem).__name__


def _exactly(connection: socket.socket, count: int) -> bytes:
    received = b""
    while len(received) < count:
        piece = connection.recv(count - len(received))
        if not piece:
            raise EOFError("the runner hung up")
        received += piece
    return received
