"""Frames on a stream: four bytes of length (big-endian), then that many bytes of JSON."""

from __future__ import annotations

import json
import struct
from collections.abc import Iterator
from typing import Any

from executor_worker.strict_json import Malformed

LONGEST_FRAME = 8 << 20
_LENGTH = struct.Struct(">I")


def pack(message: dict[str, Any]) -> bytes:
    body = json.dumps(message, ensure_ascii=False, separators=(",", ":"), allow_nan=False).encode()
    return _LENGTH.pack(len(body)) + body


class FrameBuffer:
    """Cuts a stream into frames, however its bytes arrive."""

    def __init__(self) -> None:
        self._bytes = bytearray()

    def feed(self, received: bytes) -> Iterator[bytes]:
        """The frames that are whole now. Malformed at the first that is too long: nothing after it can be trusted."""
        self._bytes += received
        while len(self._bytes) >= _LENGTH.size:
            (length,) = _LENGTH.unpack_from(self._bytes)
            if length > LONGEST_FRAME:
                raise Malformed("a frame longer than agreed")
            if len(self._bytes) < _LENGTH.size + length:
                return
            frame = bytes(self._bytes[_LENGTH.size : _LENGTH.size + length])
            del self._bytes[: _LENGTH.size + length]
            yield frame
