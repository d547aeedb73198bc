"""Lists in pages: keyset, never OFFSET, so that page one thousand costs what page one costs.

A cursor holds the sort keys of the last row seen. It is opaque to the client and untrusted when it comes back.
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import marshmallow as ma
from sqlalchemy import ColumnElement, Select, tuple_
from sqlalchemy.orm import InstrumentedAttribute, Session, scoped_session

from service_kit.errors import Unprocessable

DEFAULT_LIMIT = 20
MAX_LIMIT = 100
_LARGEST_INTEGER = 2**63 - 1  # Of a database column; a larger one is an error on its way there.


class PageArguments(ma.Schema):
    """What every list takes from the query string."""

    limit = ma.fields.Integer(load_default=DEFAULT_LIMIT, validate=ma.validate.Range(1, MAX_LIMIT))
    cursor = ma.fields.String(load_default=None, validate=ma.validate.Length(max=300))


@dataclass(frozen=True)
class Page:
    """Some rows, and how to ask for those after them."""

    items: Sequence[Any]
    next_cursor: str | None


def page_of(
    session: Session | scoped_session[Any],
    query: Select[*tuple[Any, ...]],
    keys: Sequence[InstrumentedAttribute[Any]],
    *,
    limit: int,
    cursor: str | None,
) -> Page:
    """The rows of `query` from the largest key down, starting after the cursor's.

    The keys must be columns of the query, their combination unique, and an index must hold them in this order.
    Raises Unprocessable for a cursor we did not make.
    """
    if cursor is not None:
        query = query.where(_comes_after(keys, _decode(cursor, keys)))
    query = query.order_by(*(key.desc() for key in keys)).limit(limit + 1)  # One more tells whether there is a next.
    rows = session.execute(query).all()
    items = rows[:limit]
    more = len(rows) > limit
    return Page(items, _encode([getattr(items[-1], key.key) for key in keys]) if more else None)


def _comes_after(keys: Sequence[InstrumentedAttribute[Any]], values: list[Any]) -> ColumnElement[bool]:
    if len(keys) == 1:
        key: ColumnElement[Any] = keys[0].expression
        after: ColumnElement[bool] = key < values[0]
        return after
    # A row value is one step into the index; the same spelt with OR is a full scan on both engines.
    return tuple_(*keys) < tuple_(*values)


def _encode(values: list[Any]) -> str:
    plain = [value.isoformat() if isinstance(value, datetime) else value for value in values]
    return base64.urlsafe_b64encode(json.dumps(plain, separators=(",", ":")).encode()).decode().rstrip("=")


def _decode(cursor: str, keys: Sequence[InstrumentedAttribute[Any]]) -> list[Any]:
    try:
        raw = base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True)
        values = json.loads(raw)
        if not isinstance(values, list) or len(values) != len(keys):
            raise ValueError("another list's cursor")
        return [_value_for(key, value) for key, value in zip(keys, values, strict=True)]
    except (ValueError, binascii.Error, RecursionError) as error:
        raise Unprocessable(
            "invalid_cursor",
            "Pass next_cursor exactly as an earlier page gave it.",
            errors=[{"pointer": "/cursor", "message": "Not a cursor of this list."}],
        ) from error


def _value_for(key: InstrumentedAttribute[Any], value: Any) -> Any:
    wanted = key.type.python_type
    if wanted is datetime and isinstance(value, str):
        moment = datetime.fromisoformat(value)
        if moment.tzinfo is None:
            raise ValueError("no time zone")
        return moment
    if wanted is int and type(value) is int and abs(value) <= _LARGEST_INTEGER:
        return value
    raise ValueError("a value of another type")
