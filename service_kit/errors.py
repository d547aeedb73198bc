"""Every answer other than success: one tree of exceptions and one JSON body (RFC 9457)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from http import HTTPStatus
from typing import Any, ClassVar

CONTENT_TYPE = "application/problem+json"


class ServiceError(Exception):
    """An answer other than success. Rendered by one handler, in one shape.

    `code` is a stable word for programs, `detail` a sentence for people, `errors` the list of
    places at fault ({"pointer", "message"}); headers travel with the answer.
    """

    status: ClassVar[int] = 500
    default_code: ClassVar[str] = "internal_error"

    def __init__(
        self,
        code: str | None = None,
        detail: str | None = None,
        *,
        errors: Iterable[Mapping[str, str]] = (),
        headers: Mapping[str, str] | None = None,
    ) -> None:
        self.code = code or self.default_code
        self.detail = detail or self.code.replace("_", " ")
        self.errors = [dict(error) for error in errors]
        self.headers = dict(headers or {})
        super().__init__(f"{self.status} {self.code}: {self.detail}")


class BadRequest(ServiceError):
    """The request cannot be read."""

    status, default_code = 400, "bad_request"


class Unauthorized(ServiceError):
    """We do not know who asks. Always tells the client which scheme we expect (RFC 6750)."""

    status, default_code = 401, "unauthorized"

    def __init__(self, code: str | None = None, detail: str | None = None, **rest: Any) -> None:
        super().__init__(code, detail, **rest)
        self.headers.setdefault("WWW-Authenticate", 'Bearer error="invalid_token"')


class PaymentRequired(ServiceError):
    """The caller's points do not cover it."""

    status, default_code = 402, "not_enough_points"


class Forbidden(ServiceError):
    """We know who asks, and the answer is no."""

    status, default_code = 403, "forbidden"


class NotFound(ServiceError):
    """There is no such thing, or none that this caller may know of."""

    status, default_code = 404, "not_found"


class Conflict(ServiceError):
    """The request is fine, but not for the state things are in."""

    status, default_code = 409, "conflict"


class PreconditionFailed(ServiceError):
    """The thing changed since the caller last saw it (If-Match)."""

    status, default_code = 412, "precondition_failed"


class PayloadTooLarge(ServiceError):
    """More bytes than we take."""

    status, default_code = 413, "payload_too_large"


class UnsupportedMediaType(ServiceError):
    """A body in a format we do not read."""

    status, default_code = 415, "unsupported_media_type"


class Unprocessable(ServiceError):
    """Well formed, but the values make no sense."""

    status, default_code = 422, "validation_failed"


class PreconditionRequired(ServiceError):
    """An edit needs If-Match."""

    status, default_code = 428, "precondition_required"


class TooManyRequests(ServiceError):
    """Slow down; `Retry-After` says for how long."""

    status, default_code = 429, "too_many_requests"

    def __init__(self, code: str | None = None, detail: str | None = None, *, retry_after: int, **rest: Any) -> None:
        super().__init__(code, detail, **rest)
        self.headers["Retry-After"] = str(max(1, retry_after))


class Unavailable(ServiceError):
    """We cannot serve this just now; `Retry-After` says when to come back."""

    status, default_code = 503, "service_unavailable"

    def __init__(
        self, code: str | None = None, detail: str | None = None, *, retry_after: int = 5, **rest: Any
    ) -> None:
        super().__init__(code, detail, **rest)
        self.headers["Retry-After"] = str(max(1, retry_after))


def code_for_status(status: int) -> str:
    """The word for an HTTP status that no ServiceError stands for: 405 → method_not_allowed."""
    try:
        return HTTPStatus(status).phrase.lower().replace(" ", "_").replace("-", "_").replace("'", "")
    except ValueError:
        return "error"


def problem_body(
    status: int, code: str, detail: str, request_id: str, errors: Iterable[Mapping[str, str]] = ()
) -> dict[str, Any]:
    """The one error body of every service and of the gateway (RFC 9457, with code, request_id and errors)."""
    try:
        title = HTTPStatus(status).phrase
    except ValueError:
        title = "Error"
    return {
        "type": "about:blank",
        "title": title,
        "status": status,
        "detail": detail,
        "code": code,
        "request_id": request_id,
        "errors": [dict(error) for error in errors],
    }
