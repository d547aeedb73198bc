"""What a running stack leaves behind for the next command: its ports, its sockets, its keeper.

<state>/run/ports.json is for people and tools; run/stack.json is ours.
"""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

from local_stack import ports
from local_stack.layout import State, write_private
from local_stack.processes import Identity
from local_stack.programs import Ports

DEFAULT_PORT = 8080


def choose_ports(state: State, wanted: int | None) -> Ports:
    """Loopback ports as last time where they are free, so that an operator's tools find them again.

    The gateway's is the wanted one, or the next free one above.
    """
    first = wanted or DEFAULT_PORT
    gateway = next((port for port in range(first, 65536) if ports.is_free(port, "")), None)
    if gateway is None:
        raise OSError(f"No TCP port from {first} up is free on this machine.")
    former = {name: port for name, port in _read(state.ports_file).items() if isinstance(port, int)}
    inner = [name for name in Ports.__dataclass_fields__ if name != "gateway"]
    kept = {name: former[name] for name in inner if name in former and _can_be_kept(former[name], gateway)}
    missing = [name for name in inner if name not in kept]
    taken = frozenset({gateway, *kept.values()})
    return Ports(gateway=gateway, **kept, **dict(zip(missing, ports.choose(len(missing), avoid=taken), strict=True)))


def _can_be_kept(port: int, gateway: int) -> bool:
    return port in ports.CHOICE and port != gateway and ports.is_free(port)


def write_ports(state: State, chosen: Ports) -> None:
    write_private(state.ports_file, json.dumps(asdict(chosen), indent=1) + "\n")


def read_ports(state: State) -> Ports | None:
    found = _read(state.ports_file)
    try:
        return Ports(**found)
    except TypeError:
        return None


def write_keeper(state: State, keeper: Identity, sockets: Path) -> None:
    text = json.dumps({"keeper": keeper.as_json(), "sockets": str(sockets)}, indent=1)
    write_private(state.run / "stack.json", text + "\n")


def read_keeper(state: State) -> tuple[Identity | None, Path]:
    """supervisord as it was started last, and the folder of its sockets."""
    found = _read(state.run / "stack.json")
    try:
        return Identity(**found["keeper"]), Path(found["sockets"])
    except (KeyError, TypeError):
        return None, state.run


def forget_keeper(state: State) -> None:
    (state.run / "stack.json").unlink(missing_ok=True)


def _read(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_text())
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}
