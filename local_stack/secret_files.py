"""Secrets of one stack: made once, 0600, never printed, handed to processes by file name.

A secret given from outside (NAME, or NAME_FILE) is used instead of ours.
"""

import secrets
from collections.abc import Mapping
from pathlib import Path

from local_stack.layout import State, write_private


def ensure(state: State, name: str) -> str:
    """The secret of this name, made on first use."""
    path = state.secrets / name
    if not path.exists():
        write_private(path, secrets.token_urlsafe(32) + "\n")
    return path.read_text(encoding="utf-8").strip()


def reference(state: State, settings: Mapping[str, str], name: str, *, ours: str | None = None) -> dict[str, str]:
    """{NAME_FILE: path} for a process's environment, whoever the secret comes from.

    `ours` is the value when nobody gave one; without it a random one is made and kept.
    """
    if given_file := settings.get(f"{name}_FILE"):
        return {f"{name}_FILE": str(Path(given_file).absolute())}
    path = state.secrets / name.lower()
    if value := settings.get(name):
        path = path.with_suffix(".given")  # Apart from ours, which must be found unchanged when it is needed again.
        write_private(path, value + "\n")
    elif ours is not None:
        write_private(path, ours + "\n")
    else:
        ensure(state, name.lower())
    return {f"{name}_FILE": str(path)}


def value_of(reference_: Mapping[str, str]) -> str:
    """The secret behind what `reference()` answered."""
    (path,) = reference_.values()
    return Path(path).read_text(encoding="utf-8").strip()
