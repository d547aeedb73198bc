"""What goes in and out over HTTP: shapes only. Rules that need the database or the settings are in intake.py."""

from __future__ import annotations

import math
import re
from datetime import UTC, datetime
from typing import Any

import marshmallow as ma
from marshmallow import fields, validate

from main_service.paging import PageArguments
from main_service.submissions.intake import Order
from main_service.submissions.results import Report
from service_kit.errors import Unprocessable
from service_kit.messages import REPORTABLE_STATUSES, SubmissionStatus

_CELL_STATUSES = ("ok", "error", "not_run", "stopped", "disabled", "interrupted")
_LARGEST_INTEGER = 2**31 - 1
_DEEPEST = 100


def storable_text(text: str) -> None:
    """Refuse what a database or a program file cannot hold: NUL, and half of a surrogate pair."""
    if "\0" in text:
        raise ma.ValidationError("Must not contain NUL characters.")
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise ma.ValidationError("Must be valid Unicode text.") from error


def storable(value: Any, depth: int = 0) -> None:
    """Refuse JSON that only one of the two databases would store: NUL, lone surrogates, NaN, endless nesting."""
    if depth > _DEEPEST:
        raise ma.ValidationError("Nested too deeply.")
    if isinstance(value, str):
        storable_text(value)
    elif isinstance(value, float):
        if not math.isfinite(value):
            raise ma.ValidationError("Numbers must be finite.")
    elif isinstance(value, list):
        for item in value:
            storable(item, depth + 1)
    elif isinstance(value, dict):
        for key, item in value.items():
            storable_text(key)
            storable(item, depth + 1)


def storable_word(word: str) -> str:
    """A worker's id, as it stands in a URL."""
    if not re.fullmatch(r"[\x21-\x7e]{1,128}", word):
        raise Unprocessable("invalid_worker_id", "A worker's id has 1 to 128 visible ASCII characters.")
    return word


def _text(**options: Any) -> fields.String:
    return fields.String(validate=[storable_text, *options.pop("validate", [])], **options)


def _word(most: int, **options: Any) -> fields.String:
    return _text(validate=[validate.Length(min=1, max=most)], **options)


def _count(**options: Any) -> fields.Integer:
    return fields.Integer(strict=True, validate=validate.Range(0, _LARGEST_INTEGER), **options)


def _moment() -> fields.AwareDateTime:
    in_reach = validate.Range(datetime(2000, 1, 1, tzinfo=UTC), datetime(2200, 1, 1, tzinfo=UTC))
    return fields.AwareDateTime(load_default=None, validate=in_reach)


# What users send -----------------------------------------------------------------------------------


def _not_blank(text: str) -> None:
    if not text.strip():
        raise ma.ValidationError("Must not be empty.")


class SubmitCode(ma.Schema):
    source = _text(required=True, validate=[_not_blank], metadata={"description": "A marimo notebook or a script."})
    language = fields.String(load_default="python", validate=validate.Length(min=1, max=32))
    stdin = _text(load_default="", metadata={"description": "What the program may read from standard input."})

    @ma.post_load
    def _as_order(self, values: dict[str, Any], **_: Any) -> Order:
        return Order(**values)


class ListArguments(PageArguments):
    status = fields.Enum(SubmissionStatus, by_value=True, load_default=None)


# What users get ------------------------------------------------------------------------------------


class AsStored(fields.Nested):
    """Given out untouched; the nested schema tells the OpenAPI document what to expect.

    The worker checked every cell, and dumping a thousand of them once more on each poll would help nobody.
    """

    def _serialize(self, nested_obj: Any, attr: Any, obj: Any, **kwargs: Any) -> Any:  # type: ignore[override]
        return nested_obj


class ErrorSchema(ma.Schema):
    type = fields.String()
    message = fields.String()
    line = fields.Integer(allow_none=True, metadata={"description": "In the author's own file."})
    cell_id = fields.String()


class OutputSchema(ma.Schema):
    mimetype = fields.String()
    data = fields.Raw(metadata={"description": "Text, or JSON for the JSON types."})


class ConsoleSchema(ma.Schema):
    channel = fields.String()
    text = fields.String()


class CellErrorSchema(ma.Schema):
    type = fields.String()
    message = fields.String()
    line = fields.Integer(allow_none=True)
    traceback = fields.String(allow_none=True)


class CellSchema(ma.Schema):
    id = fields.String()
    name = fields.String()
    code = fields.String()
    line = fields.Integer(allow_none=True)
    status = fields.String(validate=validate.OneOf(_CELL_STATUSES))
    outputs = fields.List(fields.Nested(OutputSchema))
    console = fields.List(fields.Nested(ConsoleSchema))
    error = fields.Nested(CellErrorSchema, allow_none=True)
    time_ms = fields.Float(allow_none=True)


class GraphSchema(ma.Schema):
    edges = fields.List(fields.List(fields.String()), metadata={"description": "[from, to] pairs of cell ids."})
    defs = fields.Dict(keys=fields.String(), values=fields.List(fields.String()))
    refs = fields.Dict(keys=fields.String(), values=fields.List(fields.String()))


class SubmissionBriefSchema(ma.Schema):
    """A submission in a list: everything but what may be large."""

    id = fields.Integer()
    status = fields.Enum(SubmissionStatus, by_value=True)
    language = fields.String()
    lab_id = fields.Constant(None)  # Labs are not part of this service yet; the names are already promised.
    run_time = fields.Integer(allow_none=True, metadata={"description": "Milliseconds of CPU."})
    wall_time = fields.Integer(allow_none=True, metadata={"description": "Milliseconds."})
    memory_used = fields.Integer(allow_none=True, metadata={"description": "KiB."})
    memory_source = fields.String(allow_none=True)
    isolation = fields.String(allow_none=True)
    score = fields.Constant(None)
    max_score = fields.Constant(None)
    created_at = fields.DateTime()
    published_at = fields.DateTime(allow_none=True)
    claimed_at = fields.DateTime(allow_none=True)
    started_at = fields.DateTime(allow_none=True)
    finished_at = fields.DateTime(allow_none=True)
    attempt = fields.Integer()
    rerun_of = fields.Integer(allow_none=True)
    request_id = fields.String()


class SubmissionSchema(SubmissionBriefSchema):
    """A submission with its program and everything its run brought."""

    source = fields.String()
    stdin = fields.String()
    stdout = fields.String(allow_none=True)
    stderr = fields.String(allow_none=True)
    error = AsStored(ErrorSchema, allow_none=True)
    cells = AsStored(CellSchema, many=True)
    tests = fields.Constant[list[Any]]([])
    graph = AsStored(GraphSchema, allow_none=True)


class SubmissionPageSchema(ma.Schema):
    items = fields.List(fields.Nested(SubmissionBriefSchema))
    next_cursor = fields.String(allow_none=True)


class LanguageSchema(ma.Schema):
    id = fields.String()
    label = fields.String()
    version = fields.String(allow_none=True)
    template = fields.String()
    available = fields.Boolean()
    packages = fields.List(fields.Dict(keys=fields.String(), values=fields.String(allow_none=True)))


class LanguageListSchema(ma.Schema):
    items = fields.List(fields.Nested(LanguageSchema))


class LimitsSchema(ma.Schema):
    max_source_bytes = fields.Integer()
    max_stdin_bytes = fields.Integer()
    max_waiting_per_user = fields.Integer()
    cpu_ms = fields.Integer(attribute="run_limits.cpu_ms")
    wall_ms = fields.Integer(attribute="run_limits.wall_ms")
    memory_kib = fields.Integer(attribute="run_limits.memory_kib")
    output_bytes = fields.Integer(attribute="run_limits.output_bytes")


# What workers send and get ---------------------------------------------------------------------------


class WorkerMessage(ma.Schema):
    """Unknown keys are left out: a worker may be newer than we are while an installation is being upgraded."""

    class Meta:
        unknown = ma.EXCLUDE

    @ma.pre_load
    def _storable(self, values: Any, **_: Any) -> Any:
        storable(values)
        return values


class ClaimArguments(WorkerMessage):
    worker_id = _word(128, required=True)
    job_key = _word(64, required=True)
    redelivered = fields.Boolean(required=True)


class RunLimitsSchema(ma.Schema):
    cpu_ms = fields.Integer()
    wall_ms = fields.Integer()
    memory_kib = fields.Integer()
    output_bytes = fields.Integer()


class ClaimSchema(ma.Schema):
    submission_id = fields.Integer()
    attempt = fields.Integer()
    lease_seconds = fields.Integer()
    language = fields.String()
    source = fields.String()
    stdin = fields.String()
    limits = fields.Nested(RunLimitsSchema)
    checks = fields.List(fields.Dict())
    request_id = fields.String()


class ReportedCell(ma.Schema):
    """The keys that a reader of the API counts on; whatever else the worker says of a cell is kept with it."""

    class Meta:
        unknown = ma.INCLUDE

    id = fields.String(required=True)
    name = fields.String(required=True)
    code = fields.String(required=True)
    line = fields.Integer(required=True, allow_none=True)
    status = fields.String(required=True, validate=validate.OneOf(_CELL_STATUSES))
    outputs = fields.List(fields.Dict(), required=True)
    console = fields.List(fields.Dict(), required=True)
    error = fields.Dict(required=True, allow_none=True)
    time_ms = fields.Float(required=True, allow_none=True)


class ReportSchema(WorkerMessage):
    attempt = _count(required=True)
    worker_id = _word(128, required=True)
    status = fields.Enum(
        SubmissionStatus, by_value=True, required=True, validate=validate.OneOf(sorted(REPORTABLE_STATUSES))
    )
    run_time = _count(load_default=None)
    wall_time = _count(load_default=None)
    memory_used = _count(load_default=None)
    memory_source = _word(32, load_default=None)
    isolation = _word(32, load_default=None)
    stdout = fields.String(load_default=None)
    stderr = fields.String(load_default=None)
    error = fields.Dict(load_default=None)
    cells = fields.List(fields.Nested(ReportedCell), load_default=list)
    graph = fields.Dict(load_default=None)
    started_at = _moment()
    finished_at = _moment()

    @ma.post_load
    def _as_report(self, values: dict[str, Any], **_: Any) -> Report:
        return Report(**values)


class StoredResultSchema(ma.Schema):
    status = fields.Enum(SubmissionStatus, by_value=True)


class AnnouncedLanguage(WorkerMessage):
    id = _word(32, required=True)
    label = _word(64, required=True)
    version = _word(64, required=True)
    template = fields.String(required=True, validate=validate.Length(max=20_000))
    packages = fields.List(
        fields.Dict(keys=fields.String(), values=fields.String(allow_none=True)),
        load_default=list,
        validate=validate.Length(max=2_000),
    )


class WorkerSchema(WorkerMessage):
    languages = fields.List(fields.Nested(AnnouncedLanguage), required=True, validate=validate.Length(max=50))
    slots = _count(required=True)
    isolation = _word(32, required=True)
    marimo = _word(64, required=True)
