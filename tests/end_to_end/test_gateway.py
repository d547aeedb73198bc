"""What the gateway promises, asked of the real services behind it."""

import re
import uuid

import pytest
import requests

from service_kit.errors import problem_body
from tests.end_to_end.visitor import Visitor
from tests.stack import RunningStack

SPOOFED = {"X-User-Id": "1", "X-User-Roles": "admin", "X-Session-Id": "1", "X-Forwarded-For": "203.0.113.9"}


def operations(stack: RunningStack) -> list[tuple[str, str, bool]]:
    """(method, path, needs a token) of everything both services offer, as their OpenAPI documents tell."""
    found = []
    for document in ("/api/openapi.json", "/api/auth/openapi.json"):
        for path, item in requests.get(stack.url + document, timeout=10).json()["paths"].items():
            for method in ("get", "post", "put", "patch", "delete"):
                if method in item:
                    found.append((method.upper(), _filled(path), bool(item[method].get("security"))))
    return found


def _filled(path: str) -> str:
    return re.sub(r"\{\w+\}", "1", path.replace("{session_id}", str(uuid.UUID(int=1))))


def test_spoofed_identity_headers_change_no_answer(stack: RunningStack) -> None:
    asked = operations(stack)
    assert len(asked) > 15
    for method, path, needs_token in asked:
        plain = requests.request(method, stack.url + path, timeout=10)
        spoofed = requests.request(method, stack.url + path, headers=SPOOFED, timeout=10)

        assert spoofed.status_code == plain.status_code, (method, path)
        if needs_token:
            assert spoofed.status_code == 401, (method, path)
        if not spoofed.ok:
            body = spoofed.json()
            assert body == problem_body(
                spoofed.status_code, body["code"], body["detail"], spoofed.headers["X-Request-Id"], body["errors"]
            )


def test_a_header_does_not_make_me_somebody_else(visitor: Visitor, newcomer: Visitor) -> None:
    mine = visitor.submit("print('mine')")["id"]

    for headers in ({"X-User-Id": str(visitor.user["id"])}, {"X-User-Roles": "admin"}, SPOOFED):
        assert newcomer.get(f"/submissions/{mine}", headers=headers).status_code == 404
        assert newcomer.get("/auth/me", headers=headers).json()["login"] == newcomer.login


@pytest.mark.parametrize("path", ["/internal/verify", "/internal/submissions/1/claim", "/metrics", "/readyz", "/livez"])
def test_what_is_internal_stays_inside(stack: RunningStack, path: str) -> None:
    assert requests.get(stack.url + path, timeout=10).status_code == 404


def test_a_forged_or_foreign_token_is_a_401_everywhere(stack: RunningStack, visitor: Visitor) -> None:
    good = str(visitor.http.headers["Authorization"])
    head, payload, signature = good.split(".")
    for bad in ("Bearer", "Bearer x", "Basic dTpw", good + "x", f"{head}.{payload}.{signature[::-1]}", good.lower()):
        for path in ("/api/submissions", "/api/languages", "/api/auth/me"):
            answer = requests.get(stack.url + path, headers={"Authorization": bad}, timeout=10)

            assert answer.status_code == 401, (bad[:20], path)
            assert answer.headers["WWW-Authenticate"].startswith("Bearer")


def test_the_docs_pages_carry_policies_that_let_them_show(stack: RunningStack) -> None:
    for path in ("/api/docs", "/api/auth/docs"):
        answer = requests.get(stack.url + path, timeout=10)

        assert answer.status_code == 200
        assert "style-src 'unsafe-inline'" in answer.headers["Content-Security-Policy"]


def test_a_preflight_is_answered_for_listed_origins_only(stack: RunningStack) -> None:
    def allowed(origin: str, path: str) -> str | None:
        headers = {"Origin": origin, "Access-Control-Request-Method": "POST"}
        return requests.options(stack.url + path, headers=headers, timeout=10).headers.get(
            "Access-Control-Allow-Origin"
        )

    for path in ("/api/submissions", "/api/auth/login"):
        assert allowed("http://localhost:3000", path) == "http://localhost:3000"
        assert allowed("https://evil.example", path) is None


def test_one_id_is_in_every_log(stack: RunningStack, newcomer: Visitor) -> None:
    # The first request with this token, so that auth_service is asked about it.
    submission = newcomer.post(
        "/submissions", {"source": "print(1)"}, headers={"X-Request-Id": "one-id-for-all-logs"}
    ).json()

    newcomer.wait_for(submission["id"])

    assert submission["request_id"] == "one-id-for-all-logs"
    for part in ("nginx", "auth_service", "main_service", "executor_worker"):
        assert "one-id-for-all-logs" in stack.log(part), part
