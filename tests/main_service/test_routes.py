"""The whole url_map: who gets in where, what the document says, where the doors are."""

from typing import Any

import pytest
from flask import url_for

from main_service.extensions import db
from service_kit.app_frame import routes_without_policy
from tests.main_service.people import SERVICE_TOKEN

WORKER = {"Authorization": f"Bearer {SERVICE_TOKEN}"}

# Who gets past the door of each route; everybody else is turned away. `owner` owns submission 1.
ANYONE = {"anonymous", "owner", "other", "moderator", "admin", "service"}
USERS = {"owner", "other", "moderator", "admin"}
EXPECTED = {
    ("POST", "main.submit_code"): USERS,
    ("GET", "main.list_submissions"): USERS,
    ("GET", "main.get_submission"): {"owner", "moderator", "admin"},
    ("POST", "main.cancel_submission"): {"owner", "moderator", "admin"},
    ("POST", "main.rerun_submission"): {"owner"},
    ("GET", "main.languages"): ANYONE,
    ("GET", "main.limits"): ANYONE,
    ("POST", "worker.claim_submission"): {"service"},
    ("PATCH", "worker.store_result"): {"service"},
    ("PUT", "worker.announce_worker"): {"service"},
    ("GET", "api-docs.openapi_json"): ANYONE,
    ("GET", "api_docs"): ANYONE,
    ("GET", "livez"): ANYONE,
    ("GET", "readyz"): ANYONE,
    ("GET", "metrics"): ANYONE,
}


@pytest.fixture
def main_url(sqlite_main_url):
    return sqlite_main_url


@pytest.fixture
def callers(make_caller, submit):
    owner = make_caller()
    submit(owner)
    return {
        "anonymous": {},
        "owner": owner.headers,
        "other": make_caller().headers,
        "moderator": make_caller("moderator").headers,
        "admin": make_caller("admin").headers,
        "service": WORKER,
    }


def operations(app):
    return {
        (method, rule.endpoint): rule
        for rule in app.url_map.iter_rules()
        for method in rule.methods - {"HEAD", "OPTIONS"}
    }


def test_every_route_declares_a_policy(app):
    assert routes_without_policy(app) == []


def test_every_route_stands_in_the_access_matrix(app):
    assert set(operations(app)) == set(EXPECTED)


@pytest.mark.parametrize(("operation", "welcome"), EXPECTED.items(), ids=lambda value: str(value))
def test_who_gets_in_where(app, client, callers, operation, welcome):
    method, endpoint = operation
    rule = operations(app)[operation]
    with app.test_request_context():
        values: dict[str, Any] = {name: 1 if name == "submission_id" else "w" for name in rule.arguments}
        url = url_for(endpoint, **values)

    let_in = set()
    for who, headers in callers.items():
        body: dict[str, Any] | None = {} if method in ("POST", "PUT", "PATCH") else None
        status = client.open(url, method=method, json=body, headers=headers).status_code
        if status not in (401, 403, 404):
            let_in.add(who)
        if who == "anonymous" and who not in welcome:
            assert status == 401

    assert let_in == welcome


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Authorization": "Bearer "},
        {"Authorization": f"Bearer {SERVICE_TOKEN}x"},
        {"Authorization": f"Basic {SERVICE_TOKEN}"},
        {"Authorization": SERVICE_TOKEN},
        {"Authorization": "Bearer ключ"},
        {"X-Service-Token": SERVICE_TOKEN},
    ],
)
def test_workers_routes_need_exactly_the_service_token(client, headers):
    answer = client.post("/internal/submissions/1/claim", json={}, headers=headers)

    assert (answer.status_code, answer.json["code"]) == (401, "service_token_required")


def test_the_openapi_document_names_every_route_of_users_and_none_of_workers(app, client):
    document = client.get("/api/openapi.json").json

    assert document["openapi"] == "3.1.0"
    described = {
        (method.upper(), path) for path, item in document["paths"].items() for method in item if method != "parameters"
    }
    assert described == {
        ("POST", "/api/submissions"),
        ("GET", "/api/submissions"),
        ("GET", "/api/submissions/{submission_id}"),
        ("POST", "/api/submissions/{submission_id}/cancel"),
        ("POST", "/api/submissions/{submission_id}/rerun"),
        ("GET", "/api/languages"),
        ("GET", "/api/limits"),
    }
    submission = document["components"]["schemas"]["Submission"]["properties"]
    assert submission["cells"]["items"] == {"$ref": "#/components/schemas/Cell"}
    assert document["paths"]["/api/submissions"]["post"]["security"] == [{"bearer": []}]
    assert "security" not in document["paths"]["/api/languages"]["get"]


def test_the_docs_page_loads_nothing_from_outside(client):
    page = client.get("/api/docs")

    assert page.status_code == 200
    assert "/api/submissions" in page.text
    assert "<script" not in page.text
    assert "//" not in page.text.replace("<!doctype", "").replace("http://127", "")


@pytest.mark.parametrize(
    ("origin", "allowed"),
    [
        ("http://localhost:3000", True),
        ("https://my-learning-app.com", True),
        ("https://my-learning-app.com.evil.example", False),
        ("null", False),
    ],
)
def test_only_our_own_pages_may_call_from_a_browser(client, origin, allowed):
    answer = client.options(
        "/api/submissions",
        headers={
            "Origin": origin,
            "Access-Control-Request-Method": "POST",
            "Access-Control-Request-Headers": "authorization,idempotency-key",
        },
    )

    assert (answer.headers.get("Access-Control-Allow-Origin") == origin) is allowed
    assert ("Access-Control-Allow-Credentials" in answer.headers) is allowed


# Health --------------------------------------------------------------------------------------------


def test_ready_without_a_broker(client):
    answer = client.get("/readyz")

    assert (answer.status_code, answer.json) == (200, {"database": "ok"})


def test_not_ready_before_the_migrations(app, client):
    with app.app_context():
        db.session.execute(db.text("UPDATE alembic_version SET version_num = '0000'"))
        db.session.commit()

    answer = client.get("/readyz")

    assert answer.status_code == 503
    assert "db upgrade" in answer.json["database"]


def test_metrics_tell_of_the_broker(client, student, submit):
    submit(student)

    text = client.get("/metrics").text

    assert "labs_broker_reachable 0.0" in text
    assert 'labs_jobs_sent_total{by="request",outcome="failed"}' in text
