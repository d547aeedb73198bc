"""A zygote without walls, for the tests of the notebook runner: forks a child per job, as the real one does.

Runs under the notebooks' own Python. One JSON request a line on stdin, one JSON answer a line on stdout.
Limits on memory, files and descriptors are those of the sandbox; the sandbox itself is not here.
"""

import json
import os
import resource
import select
import struct
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[3]))

from executor_worker.runner import notebook

MEMORY_BYTES = 256 << 20

encode = json.JSONEncoder().encode  # Bound now: a student may put anything in json's place.


def main() -> None:
    started = time.perf_counter()
    notebook.warm_up()
    answer({"ready_ms": round((time.perf_counter() - started) * 1000), "facts": notebook.facts()})
    for line in sys.stdin:
        answer(serve(json.loads(line)))


def answer(found: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(found) + "\n")
    sys.stdout.flush()


def serve(request: dict[str, Any]) -> dict[str, Any]:
    ours, childs = os.pipe()
    ready, childs_ready = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(ours)
        be_the_child(request, childs, childs_ready)
    os.close(childs)
    os.close(childs_ready)
    os.read(ready, 1)
    os.close(ready)
    started = time.perf_counter()
    raw, in_time = read_all(ours, request["seconds"])
    elapsed = time.perf_counter() - started
    if not in_time:
        os.kill(pid, 9)
    os.close(ours)
    _, status = os.waitpid(pid, 0)
    return {
        "frames": list(frames_in(raw)),
        "exit": os.waitstatus_to_exitcode(status),
        "in_time": in_time,
        "ms": round(elapsed * 1000, 3),
    }


def be_the_child(request: dict[str, Any], claims: int, ready: int) -> None:
    os.setsid()
    notebook.touch()
    resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, 1 << 20))
    resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    memory = pages * resource.getpagesize() + MEMORY_BYTES
    resource.setrlimit(resource.RLIMIT_AS, (memory, memory))

    def send(frame: dict[str, Any]) -> None:
        body = encode(frame).encode()
        rest = memoryview(struct.pack(">I", len(body)) + body)
        while rest:
            rest = rest[os.write(claims, rest) :]

    os.close(ready)  # The clock starts here, as for a child that waits in the pool.
    code = 1
    try:
        notebook.run(request["job"], send, request["box"])
        code = 0
    finally:
        os._exit(code)


def read_all(claims: int, seconds: float) -> tuple[bytes, bool]:
    received = bytearray()
    deadline = time.monotonic() + seconds
    while select.select([claims], [], [], max(0.0, deadline - time.monotonic()))[0]:
        piece = os.read(claims, 1 << 16)
        if not piece:
            return bytes(received), True
        received += piece
        if len(received) > 16 << 20:
            break
    return bytes(received), False


def frames_in(raw: bytes) -> Iterator[dict[str, Any]]:
    while len(raw) >= 4:
        (size,) = struct.unpack(">I", raw[:4])
        if len(raw) < 4 + size:
            return
        yield json.loads(raw[4 : 4 + size])
        raw = raw[4 + size :]


if __name__ == "__main__":
    main()
