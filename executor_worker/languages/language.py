"""What the worker must know of a language."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Language:
    """`template` is what an empty editor shows; `filename` is the name the program sees itself under."""

    id: str
    label: str
    template: str
    filename: Callable[[str], str]
