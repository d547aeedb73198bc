"""What every service answers alike: errors in one shape, policies enforced, ids returned, docs without scripts."""

import time

import jwt as pyjwt
import marshmallow as ma
import pytest
from flask import Flask
from flask_cors import CORS
from flask_jwt_extended import JWTManager

from service_kit.app_frame import (
    ServiceBlueprint,
    cors_options,
    frame,
    install_token_rules,
    routes_without_policy,
)
from service_kit.claims import policy
from service_kit.errors import Conflict, TooManyRequests

SERVICE_TOKEN = "service-token-of-the-test-0123456789"
SIGNING_KEY = "a key of this test alone, 32 bytes or more"
PROBLEM_KEYS = {"type", "title", "status", "detail", "code", "request_id", "errors"}


class Order(ma.Schema):
    count = ma.fields.Integer(required=True)


@pytest.fixture(scope="module")
def app():
    app = Flask("toy", static_folder=None)
    app.config.update(JWT_SECRET_KEY=SIGNING_KEY, MAX_CONTENT_LENGTH=10_000)
    install_token_rules(JWTManager(app))
    CORS(app, **cors_options(["http://localhost:3000", "https://my-learning-app.com"]))
    api = frame(app, service="toy", title="Toy", url_prefix="/api", service_token=SERVICE_TOKEN, checks={})
    toys = ServiceBlueprint("toys", "toys", url_prefix="/api")

    @toys.route("/orders", methods=["POST"])
    @policy("anyone")
    @toys.arguments(Order)
    @toys.response(200, Order)
    def order(order):
        """Order toys."""
        return order

    @toys.route("/search")
    @policy("anyone")
    @toys.arguments(Order, location="query")
    def search(query):
        """Search toys."""
        return query

    for word in ("user", "moderator", "admin", "service"):
        toys.add_url_rule(f"/for-{word}", f"for_{word}", policy(word)(lambda: {"ok": True}))

    @toys.route("/closed")
    @policy("anyone")
    def closed():
        raise Conflict("shop_closed", "The shop is closed.")

    @toys.route("/busy")
    @policy("anyone")
    def busy():
        raise TooManyRequests(retry_after=7)

    @toys.route("/broken")
    @policy("anyone")
    def broken():
        raise RuntimeError("secret detail")

    toys.add_url_rule("/forgotten", "forgotten", lambda: {"ok": True})
    api.register_blueprint(toys)
    return app


@pytest.fixture
def client(app):
    return app.test_client()


def token(**changes):
    claims = {"sub": "7", "iat": int(time.time()), "exp": int(time.time()) + 3600, "jti": "j", "sid": "s"}
    claims |= {"type": "access", "role": "student"} | changes
    claims = {name: value for name, value in claims.items() if value is not None}
    return {"Authorization": "Bearer " + pyjwt.encode(claims, SIGNING_KEY, algorithm="HS256")}


@pytest.mark.parametrize(
    ("request_", "status", "code"),
    [
        ({"path": "/nowhere"}, 404, "not_found"),
        ({"path": "/api/orders"}, 405, "method_not_allowed"),
        ({"path": "/api/closed"}, 409, "shop_closed"),
        ({"path": "/api/busy"}, 429, "too_many_requests"),
        ({"path": "/api/broken"}, 500, "internal_error"),
        ({"path": "/api/orders", "method": "POST"}, 422, "validation_failed"),
        ({"path": "/api/orders", "method": "POST", "json": []}, 422, "validation_failed"),
        ({"path": "/api/orders", "method": "POST", "json": {"count": "x"}}, 422, "validation_failed"),
        ({"path": "/api/orders", "method": "POST", "json": {"count": 1, "evil": 1}}, 422, "validation_failed"),
        (
            {"path": "/api/orders", "method": "POST", "data": "{", "content_type": "application/json"},
            400,
            "malformed_body",
        ),
        (
            {"path": "/api/orders", "method": "POST", "data": b"\xff", "content_type": "application/json"},
            400,
            "malformed_body",
        ),
        (
            {"path": "/api/orders", "method": "POST", "data": "[" * 9000, "content_type": "application/json"},
            400,
            "malformed_body",
        ),
        (
            {"path": "/api/orders", "method": "POST", "data": "1" * 9000, "content_type": "application/json"},
            400,
            "malformed_body",
        ),
        ({"path": "/api/search?count=1&evil=1"}, 422, "validation_failed"),
        ({"path": "/api/orders", "method": "POST", "data": "a=b"}, 415, "unsupported_media_type"),
        ({"path": "/api/orders", "method": "POST", "json": {"x": "y" * 20_000}}, 413, "request_entity_too_large"),
        ({"path": "/api/for-user"}, 401, "token_missing"),
        ({"path": "/api/for-user", "headers": {"Authorization": "Basic eDp5"}}, 401, None),
        ({"path": "/api/for-user", "headers": {"Authorization": "Bearer nonsense"}}, 401, "invalid_token"),
        ({"path": "/api/for-user", "headers": token(exp=1)}, 401, "token_expired"),
        ({"path": "/api/for-user", "headers": token(exp=None)}, 401, "invalid_token"),
        ({"path": "/api/for-user", "headers": token(type=None)}, 401, "invalid_token"),
        ({"path": "/api/for-user", "headers": token(type="refresh")}, 401, "invalid_token"),
        ({"path": "/api/for-user", "headers": token(sub=7)}, 401, "invalid_token"),
        ({"path": "/api/for-moderator", "headers": token()}, 403, "moderators_only"),
        ({"path": "/api/for-admin", "headers": token(role="moderator")}, 403, "admins_only"),
        ({"path": "/api/for-service", "headers": token(role="admin")}, 401, "service_token_required"),
        ({"path": "/api/forgotten", "headers": token(role="admin")}, 403, "no_policy"),
    ],
)
def test_every_refusal_has_the_one_body(app, client, request_, status, code):
    app.config["PROPAGATE_EXCEPTIONS"] = False

    answer = client.open(**request_)

    assert answer.status_code == status
    assert answer.content_type == "application/problem+json"
    assert set(answer.json) == PROBLEM_KEYS
    assert code in (None, answer.json["code"])
    assert answer.json["request_id"] == answer.headers["X-Request-Id"]
    assert "secret detail" not in answer.text


@pytest.mark.parametrize(
    ("path", "headers"),
    [
        ("/api/for-user", token()),
        ("/api/for-moderator", token(role="moderator")),
        ("/api/for-moderator", token(role="admin")),
        ("/api/for-admin", token(role="admin")),
        ("/api/for-service", {"Authorization": f"Bearer {SERVICE_TOKEN}"}),
    ],
)
def test_who_may_call_gets_in(client, path, headers):
    assert client.get(path, headers=headers).status_code == 200


def test_validation_error_points_at_the_field(client):
    answer = client.post("/api/orders", json={"count": "x"})

    assert answer.json["errors"] == [{"pointer": "/count", "message": "Not a valid integer."}]


def test_headers_of_an_error_travel_with_it(client):
    assert client.get("/api/busy").headers["Retry-After"] == "7"
    assert "POST" in client.get("/api/orders").headers["Allow"]
    assert client.get("/api/for-user").headers["WWW-Authenticate"].startswith("Bearer")


def test_route_that_forgot_its_policy_is_named(app):
    assert routes_without_policy(app) == ["['GET', 'HEAD', 'OPTIONS'] /api/forgotten"]


def test_gateways_request_id_is_kept(client):
    assert (
        client.get("/livez", headers={"X-Request-Id": "from-the-gateway"}).headers["X-Request-Id"] == "from-the-gateway"
    )


@pytest.mark.parametrize(
    ("origin", "allowed"),
    [
        ("http://localhost:3000", "http://localhost:3000"),
        ("https://my-learning-app.com", "https://my-learning-app.com"),
        ("https://evil.example", None),
        ("null", None),
    ],
)
def test_only_listed_origins_may_read_with_credentials(client, origin, allowed):
    answer = client.options("/api/orders", headers={"Origin": origin, "Access-Control-Request-Method": "POST"})

    assert answer.headers.get("Access-Control-Allow-Origin") == allowed
    assert answer.headers.get("Access-Control-Allow-Credentials") == ("true" if allowed else None)


@pytest.mark.parametrize("origin", ["*", "null", "localhost:3000"])
def test_an_open_cors_list_is_refused(origin):
    with pytest.raises(ValueError, match="CORS_ORIGINS"):
        cors_options(["http://localhost:3000", origin])


def test_docs_page_shows_every_operation_and_runs_no_script(client):
    page = client.get("/api/docs")

    assert page.status_code == 200
    assert "/api/orders" in page.text
    assert "Order toys." in page.text
    assert "<script" not in page.text
    assert "http://" not in page.text
    assert "https://" not in page.text
    assert page.headers["Content-Security-Policy"].startswith("default-src 'none'")
