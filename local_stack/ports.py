"""Choose loopback ports that nobody else uses, and tell who may be reached on one."""

import random
import socket

# Below Linux's range for outgoing connections (32768 and up), so that no passing client can
# take the port between our choice and our child's bind.
CHOICE = range(18100, 32000)


def is_free(port: int, host: str = "127.0.0.1") -> bool:
    """Whether a server could listen there now."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError:
            return False
    return True


def choose(count: int, avoid: frozenset[int] = frozenset()) -> list[int]:
    """Different free ports. A guess, not a promise: somebody may take one before our child binds it."""
    found: list[int] = []
    for port in random.sample(CHOICE, len(CHOICE)):
        if len(found) == count:
            return found
        if port not in avoid and is_free(port):
            found.append(port)
    raise OSError(f"No {count} free TCP ports between {CHOICE.start} and {CHOICE.stop} on this machine.")


def accepts(port: int, host: str = "127.0.0.1") -> bool:
    """Whether somebody listens there. Not who: ask a protocol question for that."""
    try:
        socket.create_connection((host, port), timeout=1).close()
    except OSError:
        return False
    return True
