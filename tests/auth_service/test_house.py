"""What every service of the house does: policies, health, one error shape, an honest API document."""

import re

import pytest

from service_kit.app_frame import routes_without_policy
from tests.auth_service.people import Person

OPEN_TO_ANYONE = {
    "/api/auth/register",
    "/api/auth/login",
    "/api/auth/.well-known/jwks.json",
    "/api/auth/openapi.json",
    "/api/auth/docs",
    "/livez",
    "/readyz",
    "/metrics",
}


def test_every_route_declares_who_may_call_it(app):
    assert routes_without_policy(app) == []


def test_only_the_routes_meant_for_anyone_are_open(app, client):
    opened = set()
    for rule in app.url_map.iter_rules():
        path = re.sub(r"<[^>]+>", "00000000-0000-4000-8000-000000000000", rule.rule)
        for method in rule.methods - {"OPTIONS", "HEAD"}:
            answer = client.open(path, method=method, json={} if method in ("POST", "PATCH") else None)
            if answer.status_code != 401:
                opened.add(rule.rule)

    assert opened == OPEN_TO_ANYONE


def test_it_is_alive_and_ready(client):
    assert client.get("/livez").json == {"status": "ok"}
    assert client.get("/readyz").json == {"database": "ok"}
    assert b"labs_http_requests_total" in client.get("/metrics").data


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/", 404),
        ("GET", "/api/auth/nothing", 404),
        ("GET", "/api/auth/login", 405),
        ("PUT", "/api/auth/me", 405),
        ("TRACE", "/api/auth/me", 405),
        ("GET", "/api/auth/me/", 404),
        ("GET", "/internal/", 404),
        ("POST", "/internal/verify", 405),
    ],
)
def test_what_does_not_exist_is_a_problem_too(client, method, path, status):
    answer = client.open(path, method=method)

    assert answer.status_code == status
    assert answer.content_type == "application/problem+json"
    assert answer.json["request_id"] == answer.headers["X-Request-Id"]
    if status == 405:
        assert answer.headers["Allow"]


def test_a_request_keeps_the_id_it_came_with(client):
    answer = client.get("/livez", headers={"X-Request-Id": "abcdefgh-1234"})

    assert answer.headers["X-Request-Id"] == "abcdefgh-1234"


def test_the_api_document_lists_every_public_route(app, client):
    spec = client.get("/api/auth/openapi.json").json

    assert spec["openapi"] == "3.1.0"
    documented = {
        (method.upper(), path) for path, item in spec["paths"].items() for method in item if method != "parameters"
    }
    served = {
        (method, re.sub(r"<(?:\w+:)?(\w+)>", r"{\1}", rule.rule))
        for rule in app.url_map.iter_rules()
        if rule.endpoint.startswith("auth.")
        for method in rule.methods - {"OPTIONS", "HEAD"}
    }
    assert documented == served


def test_the_docs_page_shows_the_routes_and_loads_nothing(client):
    answer = client.get("/api/auth/docs")
    page = answer.get_data(as_text=True)

    assert answer.content_type.startswith("text/html")
    assert "/api/auth/register" in page
    assert not re.search(r"<(script|link|img|iframe)|src=|url\(|https?://", page)
    assert answer.headers["Content-Security-Policy"].startswith("default-src 'none'")


def test_two_apps_in_one_process_do_not_share_keys_or_databases(make_app, tmp_path):
    from auth_service import keys

    keys.create_signing_key(tmp_path / "other")
    ann = Person.join(make_app().test_client(), "ann")
    other = make_app(JWT_KEYS_DIR=str(tmp_path / "other")).test_client()

    assert other.get("/api/auth/me", headers=ann.headers).status_code == 401
    assert ann.get("/api/auth/me").status_code == 200
