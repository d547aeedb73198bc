"""Read JSON that an enemy may have written, and keep of it only what has the expected shape.

Everything unexpected raises Malformed: NaN and infinities, a key given twice, deep nesting, a wrong
type (True is no 1 here), too long a text or list. Unknown keys are dropped. NUL characters and lone
surrogates, which the database refuses, are taken out of every text.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterable
from typing import Any

MOST_VALUES = 1_000_000  # A few bytes of JSON can become a hundred of memory: `[],[],[],`.

Reader = Callable[[Any], Any]


class Malformed(Exception):
    """Not what was agreed. The text says where, without quoting the value."""


def parse(raw: bytes) -> Any:
    """The value in `raw`, strictly: what Python's json merely tolerates is refused."""
    if _holds_too_much(raw):
        raise Malformed("too many values")
    try:
        return _DECODER.decode(raw.decode("utf-8"))
    except RecursionError:
        raise Malformed("nested too deeply") from None
    except ValueError as error:  # Bad UTF-8, bad JSON, an integer of thousands of digits.
        raise Malformed(f"not JSON: {type(error).__name__}") from None


def _holds_too_much(raw: bytes) -> bool:
    """Whether more values than MOST_VALUES would come of it, told without making them."""
    if _marks(raw) + raw.count(b'"') // 2 <= MOST_VALUES:
        return False  # So for nearly every frame; now to leave out the marks inside of texts.
    raw = raw.replace(b"\\\\", b"").replace(b'\\"', b"")
    values = start = 0
    while values <= MOST_VALUES:
        opening = raw.find(b'"', start)
        if opening < 0:
            return values + _marks(raw[start:]) > MOST_VALUES
        values += 1 + _marks(raw[start:opening])
        start = raw.find(b'"', opening + 1) + 1
        if not start:
            return False  # An unfinished text: the parser will refuse it.
    return True


def _marks(raw: bytes) -> int:
    return raw.count(b",") + raw.count(b"[") + raw.count(b"{")


def _unique_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise Malformed("a key given twice")
    return found


def _finite(digits: str) -> float:
    value = float(digits)
    if not math.isfinite(value):  # 1e999 is infinity to float().
        raise Malformed("a number beyond all bounds")
    return value


def _no_constant(name: str) -> Any:
    raise Malformed(f"{name} is not JSON")


_DECODER = json.JSONDecoder(object_pairs_hook=_unique_keys, parse_float=_finite, parse_constant=_no_constant)


def clean(text: str) -> str:
    """The text without what PostgreSQL and UTF-8 cannot hold."""
    if "\0" in text:
        text = text.replace("\0", "")
    if not text.isascii():
        text = text.encode("utf-8", "ignore").decode("utf-8")  # "ignore" drops exactly the lone surrogates.
    return text


# Readers: each takes a parsed value and gives the cleaned one, or raises Malformed.


def text(most: int) -> Reader:
    def read(value: Any) -> str:
        if type(value) is not str:
            raise Malformed("a text was expected")
        if len(value) > most:
            raise Malformed(f"a text longer than {most} characters")
        return clean(value)

    return read


def one_of(words: Iterable[str]) -> Reader:
    allowed = frozenset(words)

    def read(value: Any) -> str:
        if type(value) is not str or value not in allowed:
            raise Malformed("a word that was not agreed")
        return value

    return read


def whole(low: int = 0, high: int = 2**31 - 1) -> Reader:
    def read(value: Any) -> int:
        if type(value) is not int or not low <= value <= high:
            raise Malformed(f"a whole number between {low} and {high} was expected")
        return value

    return read


def milliseconds(value: Any) -> float:
    if type(value) not in (int, float) or not 0 <= value < 2**31:
        raise Malformed("a time in milliseconds was expected")
    return round(float(value), 3)


def optional(reader: Reader) -> Reader:
    return lambda value: None if value is None else reader(value)


def listed(reader: Reader, most: int) -> Reader:
    def read(value: Any) -> list[Any]:
        if type(value) is not list:
            raise Malformed("a list was expected")
        if len(value) > most:
            raise Malformed(f"a list of more than {most}")
        return [reader(item) for item in value]

    return read


def mapped(key: Reader, value_reader: Reader, most: int) -> Reader:
    def read(value: Any) -> dict[str, Any]:
        if type(value) is not dict:
            raise Malformed("an object was expected")
        if len(value) > most:
            raise Malformed(f"an object of more than {most}")
        return {key(name): value_reader(item) for name, item in value.items()}

    return read


def record(readers: dict[str, Reader], optional_readers: dict[str, Reader] | None = None) -> Reader:
    """An object with all of `readers`' keys, and those of `optional_readers` that are there."""

    def read(value: Any) -> dict[str, Any]:
        if type(value) is not dict:
            raise Malformed("an object was expected")
        if missing := readers.keys() - value.keys():
            raise Malformed(f"without {', '.join(sorted(missing))}")
        found = {key: reader(value[key]) for key, reader in readers.items()}
        for key, reader in (optional_readers or {}).items():
            if key in value:
                found[key] = reader(value[key])
        return found

    return read
