"""Messages between the processes of the runner, and frames to the worker: JSON, with descriptors beside it."""

from __future__ import annotations

import array
import json
import os
import socket
import struct
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

LONGEST_MESSAGE = 64 << 10  # Within the runner. What can be long travels in a file (see handed_over).
LONGEST_FRAME = 8 << 20
LENGTH = struct.Struct(">I")

_MOST_DESCRIPTORS = 4
_CREDENTIALS = struct.Struct("3i")
_ANCILLARY_BYTES = socket.CMSG_SPACE(_MOST_DESCRIPTORS * 4) + socket.CMSG_SPACE(_CREDENTIALS.size)

Message = dict[str, Any]


@dataclass
class Received:
    """What came in one go. An empty `data` is the end. `pid` is the sender's, as the kernel says."""

    data: bytes
    descriptors: list[int] = field(default_factory=list)
    pid: int | None = None

    @property
    def message(self) -> Message:
        message = json.loads(self.data)
        if type(message) is not dict:
            raise ValueError("not an object")
        return message

    def close(self) -> None:
        """Close the descriptors nobody took."""
        while self.descriptors:
            os.close(self.descriptors.pop())


def pair() -> tuple[socket.socket, socket.socket]:
    """Two ends that keep messages apart. On the first the kernel tells who sends (Received.pid)."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    ours.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
    return ours, theirs


def say(channel: socket.socket, message: Message, descriptors: Sequence[int] = ()) -> None:
    socket.send_fds(channel, [json.dumps(message).encode()], list(descriptors))


def hear(channel: socket.socket, most_bytes: int = LONGEST_MESSAGE) -> Received:
    try:
        data, ancillary, _, _ = channel.recvmsg(most_bytes, _ANCILLARY_BYTES, socket.MSG_CMSG_CLOEXEC)
    except ConnectionResetError:
        return Received(b"")  # The end, before all we sent was read.
    received = Received(data)
    for level, kind, content in ancillary:
        if level != socket.SOL_SOCKET:
            continue
        if kind == socket.SCM_RIGHTS:
            descriptors = array.array("i")
            descriptors.frombytes(content[: len(content) - len(content) % descriptors.itemsize])
            received.descriptors.extend(descriptors)
        elif kind == socket.SCM_CREDENTIALS:
            received.pid = _CREDENTIALS.unpack(content[: _CREDENTIALS.size])[0]
    return received


def framed(message: Message) -> bytes:
    """Four bytes of length, then JSON."""
    body = json.dumps(message, separators=(",", ":"), allow_nan=False).encode()
    return LENGTH.pack(len(body)) + body


def handed_over(content: bytes) -> int:
    """A descriptor of a file in memory with this content: however long it is, passing it on never blocks."""
    descriptor = os.memfd_create("job", os.MFD_CLOEXEC)
    os.write(descriptor, content)
    return descriptor


def taken_over(descriptor: int) -> bytes:
    """The content of such a file, which is closed."""
    with open(descriptor, "rb", buffering=0) as job:
        job.seek(0)
        return job.readall()
