"""Puts on a Flask app what both services must do alike: request ids, logs, errors, policies, health, docs.

The only file of service_kit that imports Flask.
"""

from __future__ import annotations

import json as std_json
import logging
import secrets
import time
from collections.abc import Iterable, Mapping
from contextlib import suppress
from http import HTTPStatus
from typing import IO, Any

import jwt as pyjwt
import marshmallow as ma
from flask import Flask, Request, Response, current_app, g, json, request
from flask_jwt_extended import JWTManager, get_jwt, verify_jwt_in_request
from flask_smorest import Api, Blueprint
from webargs.flaskparser import FlaskParser
from werkzeug.exceptions import HTTPException, RequestEntityTooLarge
from werkzeug.wsgi import get_input_stream

from service_kit.api_docs import docs_page
from service_kit.claims import Caller, Policy, Role, caller_from_claims, has_required_claims, policy
from service_kit.errors import (
    CONTENT_TYPE,
    Forbidden,
    ServiceError,
    Unauthorized,
    UnsupportedMediaType,
    code_for_status,
    problem_body,
)
from service_kit.health import Check, readiness
from service_kit.metrics import HTTP_REQUESTS, HTTP_SECONDS, METRICS_CONTENT_TYPE, metrics_body
from service_kit.request_id import HEADER, accept_request_id, current_request_id, use_request_id

log = logging.getLogger(__name__)

_PIECE_BYTES, _MOST_UNREAD_PIECES = 1 << 16, 64
_PROBES = ("/livez", "/readyz", "/metrics")  # Asked every few seconds; not worth a line each.
_BODY_METHODS = frozenset({"POST", "PUT", "PATCH"})


class ProblemSchema(ma.Schema):
    """The error body, for the OpenAPI document."""

    type = ma.fields.String()
    title = ma.fields.String()
    status = ma.fields.Integer()
    detail = ma.fields.String()
    code = ma.fields.String()
    request_id = ma.fields.String()
    errors = ma.fields.List(ma.fields.Dict(keys=ma.fields.String(), values=ma.fields.String()))


class ProblemApi(Api):
    """flask-smorest with our error body and an openapi.json anyone may read."""

    ERROR_SCHEMA = ProblemSchema

    def handle_http_exception(self, error: HTTPException) -> Response:
        return _render_http_exception(error)

    @policy("anyone")
    def _openapi_json(self) -> Any:
        return super()._openapi_json()


class StrictParser(FlaskParser):
    """Reads a request's values; what cannot be read is the client's error, never ours."""

    # A misspelt filter would otherwise be ignored, and the answer would look like the one asked for.
    DEFAULT_UNKNOWN_BY_LOCATION: dict[str, str | None] = {  # noqa: RUF012  # typed as webargs declares it.
        **FlaskParser.DEFAULT_UNKNOWN_BY_LOCATION,
        "query": ma.RAISE,
    }

    def _raw_load_json(self, req: Request) -> Any:
        try:
            return super()._raw_load_json(req)
        except std_json.JSONDecodeError:
            raise
        except (RecursionError, ValueError) as error:  # Brackets a thousand deep; a number of 5000 digits.
            raise std_json.JSONDecodeError("not JSON we read", "?", 0) from error


class ServiceBlueprint(Blueprint):
    """flask-smorest's blueprint with our parser behind `arguments`."""

    ARGUMENTS_PARSER = StrictParser()


def frame(
    app: Flask, *, service: str, title: str, url_prefix: str, service_token: str, checks: Mapping[str, Check]
) -> ProblemApi:
    """Install everything both services share; returns the Api to register blueprints on.

    `url_prefix` is where openapi.json and docs live; `checks` decide /readyz.
    """
    app.config.update(
        API_TITLE=title,
        API_VERSION="1",
        OPENAPI_VERSION="3.1.0",
        OPENAPI_URL_PREFIX=url_prefix,
        OPENAPI_JSON_PATH="openapi.json",
        API_SPEC_OPTIONS={
            "components": {
                "securitySchemes": {"bearer": {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"}},
            },
        },
        SERVICE_NAME=service,
        SERVICE_TOKEN=service_token,
    )
    app.json.sort_keys = False  # type: ignore[attr-defined]
    app.before_request(_open_request)
    app.before_request(_enforce_policy)
    app.before_request(_refuse_foreign_body)
    app.after_request(_close_request)
    app.teardown_request(_forget_request_id)
    app.register_error_handler(ServiceError, _render_service_error)
    app.register_error_handler(Exception, _render_unexpected)
    api = ProblemApi(app)
    _add_health_routes(app, checks)
    _add_docs_route(app, api, url_prefix)
    return api


def cors_options(origins: list[str]) -> dict[str, Any]:
    """Options for flask-cors: the API only, the listed origins only, with credentials.

    Raises ValueError for "*": with credentials flask-cors would reflect any origin.
    """
    if any(origin in ("*", "null") or not origin.startswith(("http://", "https://")) for origin in origins):
        raise ValueError("CORS_ORIGINS must list full origins such as https://labs.example.edu; * and null are refused")
    return {
        "resources": {r"/api/*": {"origins": origins}},
        "supports_credentials": True,
        "allow_headers": [
            "Authorization",
            "Content-Type",
            "Idempotency-Key",
            "If-Match",
            "If-None-Match",
            "X-CSRF-TOKEN",
            HEADER,
        ],
        "expose_headers": ["ETag", "Idempotent-Replay", "Link", "Location", "Retry-After", HEADER],
        "max_age": 600,
    }


def install_token_rules(jwt: JWTManager) -> None:
    """Make every token error a 401 in our body, and refuse tokens that lack a claim we rely on."""

    @jwt.token_verification_loader
    def _complete(_header: Any, claims: Mapping[str, Any]) -> bool:
        return has_required_claims(claims) and _names_its_type()

    def invalid(*_: Any) -> Response:
        return _render_service_error(Unauthorized("invalid_token", "The token is not valid. Log in again."))

    def expired(*_: Any) -> Response:
        return _render_service_error(
            Unauthorized("token_expired", "The token has expired. Refresh it or log in again.")
        )

    def missing(*_: Any) -> Response:
        return _render_service_error(
            Unauthorized(
                "token_missing", "Log in first: this needs an access token.", headers={"WWW-Authenticate": "Bearer"}
            )
        )

    jwt.expired_token_loader(expired)
    jwt.unauthorized_loader(missing)
    for loader in (
        jwt.invalid_token_loader,
        jwt.revoked_token_loader,
        jwt.needs_fresh_token_loader,
        jwt.token_verification_failed_loader,
        jwt.user_lookup_error_loader,
    ):
        loader(invalid)


def _names_its_type() -> bool:
    """flask-jwt-extended takes a token without a type for an access token, so look at what was really sent.

    Called when the signature has been verified already.
    """
    scheme, _, token = request.headers.get("Authorization", "").partition(" ")
    return scheme != "Bearer" or "type" in pyjwt.decode(token, options={"verify_signature": False})


def current_caller() -> Caller:
    """Who asks, from the verified access token of this request (policy user and above)."""
    if "caller" not in g:
        g.caller = caller_from_claims(get_jwt())
    caller: Caller = g.caller
    return caller


def routes_without_policy(app: Flask) -> list[str]:
    """Every URL rule whose view declares no policy; a test holds this empty."""
    return [
        f"{sorted(rule.methods or ())} {rule.rule}"
        for rule in app.url_map.iter_rules()
        if not hasattr(app.view_functions[rule.endpoint], "__policy__")
    ]


def forget_connections(app: Flask) -> None:
    """After a fork: drop database connections that the parent may have opened. They must not be shared."""
    if "sqlalchemy" in app.extensions:
        with app.app_context():
            for engine in app.extensions["sqlalchemy"].engines.values():
                engine.dispose(close=False)


def problem_response(
    status: int,
    code: str,
    detail: str,
    errors: Iterable[Mapping[str, str]] = (),
    headers: Mapping[str, str] | None = None,
) -> Response:
    """The error body as a response."""
    body = problem_body(status, code, detail, current_request_id(), errors)
    response = Response(json.dumps(body), status=status, content_type=CONTENT_TYPE)
    response.headers.extend(headers or {})
    return response


def _open_request() -> None:
    g.started_at = time.perf_counter()
    # Kept open until the teardown: everything logged meanwhile bears the id.
    g.request_id_scope = use_request_id(request.headers.get(HEADER))
    g.request_id_scope.__enter__()


def _forget_request_id(_error: BaseException | None) -> None:
    scope = g.pop("request_id_scope", None)
    if scope is not None:
        scope.__exit__(None, None, None)


def _enforce_policy() -> None:
    """Ask for what the route declared, before its view runs. A route that declared nothing is closed."""
    if request.endpoint is None or request.method == "OPTIONS":
        return  # Unknown URLs become 404; a preflight carries no credentials by design.
    declared = getattr(current_app.view_functions[request.endpoint], "__policy__", None)
    if declared in (Policy.ANYONE, Policy.REFRESH, Policy.GATEWAY):
        return
    if declared is Policy.SERVICE:
        _require_service_token()
        return
    if declared is None:
        raise Forbidden("no_policy", "This route declares no policy and stays closed.")
    verify_jwt_in_request(locations=["headers"])
    role = current_caller().role
    if declared is Policy.MODERATOR and role not in (Role.MODERATOR, Role.ADMIN):
        raise Forbidden("moderators_only", "This is for moderators.")
    if declared is Policy.ADMIN and role is not Role.ADMIN:
        raise Forbidden("admins_only", "This is for administrators.")


def _require_service_token() -> None:
    scheme, _, offered = request.headers.get("Authorization", "").partition(" ")
    expected = current_app.config["SERVICE_TOKEN"]
    if scheme.lower() != "bearer" or not secrets.compare_digest(offered.encode(), expected.encode()):
        raise Unauthorized("service_token_required", "This route is for our own services.")


def _refuse_foreign_body() -> None:
    """A body in another format would be read as an empty one, and the error would name the wrong thing."""
    if request.method not in _BODY_METHODS or not request.endpoint or not request.content_length:
        return
    if not request.is_json:
        raise UnsupportedMediaType(None, "Send JSON with the header Content-Type: application/json.")


def _read_the_rest() -> None:
    """Hear a refused request out: a connection closed on a gateway that is still sending takes our answer along.

    The gateway bounds the body; should there be none, we listen no longer than to its usual bound.
    """
    try:
        rest: IO[bytes] = request.stream  # Knows how much has been read, and where the body ends.
    except RequestEntityTooLarge:  # Nothing has.
        rest = get_input_stream(request.environ)
    with suppress(HTTPException):  # The client is gone, or sends more than it said.
        for _ in range(_MOST_UNREAD_PIECES):
            if not rest.read(_PIECE_BYTES):
                return


def _close_request(response: Response) -> Response:
    if response.status_code >= 400 and request.method in _BODY_METHODS:
        _read_the_rest()
    response.headers[HEADER] = current_request_id() or accept_request_id(None)
    route = request.url_rule.rule if request.url_rule else "unmatched"
    seconds = time.perf_counter() - g.get("started_at", time.perf_counter())
    service = current_app.config["SERVICE_NAME"]
    HTTP_REQUESTS.labels(service, request.method, route, str(response.status_code)).inc()
    HTTP_SECONDS.labels(service, route).observe(seconds)
    caller = g.get("caller")
    log.log(
        logging.DEBUG if route in _PROBES else logging.INFO,
        "request",
        extra={
            "method": request.method,
            "route": route,
            "status": response.status_code,
            "duration_ms": round(seconds * 1000, 2),
            "user_id": caller.user_id if caller else None,
        },
    )
    return response


def _render_service_error(error: ServiceError) -> Response:
    return problem_response(error.status, error.code, error.detail, error.errors, error.headers)


def _render_http_exception(error: HTTPException) -> Response:
    status = error.code or 500
    data = getattr(error, "data", None) or {}
    # get_headers holds what an exception wants to send (Allow, Retry-After); its content type is HTML's.
    headers = {name: value for name, value in error.get_headers() if name.lower() != "content-type"}
    headers.update(data.get("headers") or {})
    errors = _flatten(data.get("errors") or data.get("messages") or {})
    if errors:
        code, detail = "validation_failed", "Some of the values are not right; `errors` says which."
        if status == HTTPStatus.BAD_REQUEST:
            code, detail = "malformed_body", "The body is not valid JSON."
    else:
        code = code_for_status(status)
        detail = data.get("message") or error.description or code
    return problem_response(status, code, detail, errors, headers)


def _render_unexpected(error: Exception) -> Response:
    log.error("unexpected_error", exc_info=error)
    return problem_response(
        500, "internal_error", "Something went wrong on our side. The request id helps us to find it."
    )


def _flatten(messages: Any, path: tuple[str, ...] = ()) -> list[dict[str, str]]:
    """webargs' nested messages → [{"pointer": "/source", "message": …}]; the location's own name is left out."""
    if isinstance(messages, Mapping):
        return [row for key, inner in messages.items() for row in _flatten(inner, (*path, str(key)))]
    if isinstance(messages, (list, tuple)):
        return [row for inner in messages for row in _flatten(inner, path)]
    inner_path = path[1:] if path and path[0] in ("json", "query", "headers", "path") else path
    steps = [step.replace("~", "~0").replace("/", "~1") for step in inner_path if step != "_schema"]
    return [{"pointer": "".join(f"/{step}" for step in steps), "message": str(messages)}]


def _add_health_routes(app: Flask, checks: Mapping[str, Check]) -> None:
    @app.get("/livez")
    @policy("anyone")
    def livez() -> dict[str, str]:
        return {"status": "ok"}

    @app.get("/readyz")
    @policy("anyone")
    def readyz() -> tuple[dict[str, str], int]:
        well, report = readiness(checks)
        return report, 200 if well else 503

    @app.get("/metrics")
    @policy("anyone")
    def metrics() -> Response:
        return Response(metrics_body(), content_type=METRICS_CONTENT_TYPE)


def _add_docs_route(app: Flask, api: ProblemApi, url_prefix: str) -> None:
    @app.get(f"{url_prefix}/docs")
    @policy("anyone")
    def api_docs() -> Response:
        response = Response(docs_page(api.spec.to_dict()), content_type="text/html; charset=utf-8")
        # The page is plain HTML and CSS: nothing from outside, no script.
        response.headers["Content-Security-Policy"] = "default-src 'none'; style-src 'unsafe-inline'"
        return response
