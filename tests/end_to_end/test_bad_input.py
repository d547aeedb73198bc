"""Every malformed request gets its 4xx in the one error shape, whoever answers: nginx or a service."""

import json

import pytest
import requests

PROBLEM_KEYS = {"type", "title", "status", "detail", "code", "request_id", "errors"}


def assert_problem(answer, status, code=None):
    assert answer.status_code == status, answer.text
    assert answer.headers["Content-Type"] == "application/problem+json"
    problem = answer.json()
    assert set(problem) == PROBLEM_KEYS
    assert problem["status"] == status
    assert problem["request_id"] == answer.headers["X-Request-Id"]
    if code:
        assert problem["code"] == code


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        ({}, 422, "validation_failed"),
        ([], 422, "validation_failed"),
        ({"source": 7, "language": "python"}, 422, "validation_failed"),
        ({"source": "x", "language": "cobol"}, 422, None),
        ({"source": "x", "language": "python", "status": "accepted"}, 422, "validation_failed"),
        ({"source": "", "language": "python"}, 422, None),
        ({"source": "x\0y", "language": "python"}, 422, None),
        ({"source": "\ud800", "language": "python"}, 422, None),
        ({"source": "x" * 300_000, "language": "python"}, 413, None),
        ({"source": "x" * 2_000_000, "language": "python"}, 413, None),
        ({"source": "x", "language": "python", "stdin": "y" * 100_000}, 413, None),
    ],
    ids=lambda value: str(value)[:40],
)
def test_submission_that_makes_no_sense_is_refused(visitor, body, status, code):
    assert_problem(visitor.post("/submissions", body), status, code)


@pytest.mark.parametrize("raw", [b"{", b"\xff\xfe", b"[" * 50_000, b'{"source": 1e999}'])
def test_body_that_is_not_json_is_refused(visitor, raw):
    answer = visitor.http.post(
        f"{visitor.api}/submissions", data=raw, headers={"Content-Type": "application/json"}, timeout=10
    )

    assert answer.status_code in (400, 422)
    assert_problem(answer, answer.status_code)


def test_body_in_another_format_is_refused(visitor):
    assert_problem(visitor.http.post(f"{visitor.api}/submissions", data="a=b", timeout=10), 415)


@pytest.mark.parametrize(
    "header",
    ["Bearer", "Bearer x", "Bearer a.b.c", "Basic YTpi", "Bearer " + "x" * 6000, "Bearer \xff"],
)
def test_bad_token_is_401_and_never_more(stack, header):
    answer = requests.get(
        f"{stack.url}/api/submissions", headers={"Authorization": header.encode("latin-1")}, timeout=10
    )

    assert_problem(answer, 401)


def test_refusal_arrives_although_the_body_was_never_wanted(stack):
    for _ in range(10):
        answer = requests.post(f"{stack.url}/api/submissions", json={"source": "x" * 1_500_000}, timeout=10)
        assert_problem(answer, 401)


def test_without_token_one_is_asked_to_log_in(stack):
    answer = requests.get(f"{stack.url}/api/submissions", timeout=10)

    assert_problem(answer, 401)
    assert answer.headers["WWW-Authenticate"].startswith("Bearer")


@pytest.mark.parametrize("submission_id", ["0", "999999999", "99999999999999999999", "-1", "abc", "1%20", "../1"])
def test_submission_that_is_not_there_is_404(visitor, submission_id):
    assert_problem(visitor.get(f"/submissions/{submission_id}"), 404)


def test_somebody_elses_submission_is_404(visitor, newcomer):
    submission = visitor.submit("x = 1")

    assert_problem(newcomer.get(f"/submissions/{submission['id']}"), 404)
    assert_problem(newcomer.post(f"/submissions/{submission['id']}/cancel"), 404)
    assert_problem(newcomer.post(f"/submissions/{submission['id']}/rerun"), 404)


@pytest.mark.parametrize("query", ["limit=0", "limit=1000", "limit=x", "cursor=zzz", "status=weird", "evil=1"])
def test_list_with_a_bad_query_is_refused(visitor, query):
    assert_problem(visitor.get(f"/submissions?{query}"), 422)


@pytest.mark.parametrize("path", ["/internal/verify", "/internal/submissions/1/claim", "/api/nowhere", "/api/internal"])
def test_inside_is_closed_to_the_outside(stack, visitor, path):
    for method in ("GET", "POST", "PATCH", "PUT"):
        answer = visitor.http.request(method, stack.url + path, json={}, timeout=10)
        assert answer.status_code in (404, 405)
        assert_problem(answer, answer.status_code)


def test_health_and_metrics_are_not_for_the_outside(stack):
    for path in ("/readyz", "/metrics", "/livez"):
        answer = requests.get(stack.url + path, timeout=10)
        assert "labs_http" not in answer.text
        assert answer.status_code == 404


def test_identity_headers_of_a_client_are_worth_nothing(stack, visitor, newcomer):
    submission = visitor.submit("x = 1")
    forged = {"X-User-Id": str(visitor.user["id"]), "X-User-Roles": "admin", "X_User_Id": str(visitor.user["id"])}

    assert_problem(newcomer.get(f"/submissions/{submission['id']}", headers=forged), 404)
    assert_problem(requests.get(f"{stack.url}/api/submissions/{submission['id']}", headers=forged, timeout=10), 401)


@pytest.mark.parametrize("key", ["", "x" * 201, "has\ttab", "ключ"])
def test_bad_idempotency_key_is_refused(visitor, key):
    answer = visitor.post(
        "/submissions", {"source": "x", "language": "python"}, headers={"Idempotency-Key": key.encode()}
    )

    assert_problem(answer, 422)


def test_same_idempotency_key_is_one_submission(newcomer):
    body = {"source": "print(1)", "language": "python"}
    first = newcomer.post("/submissions", body, headers={"Idempotency-Key": "once"})
    again = newcomer.post("/submissions", body, headers={"Idempotency-Key": "once"})
    other = newcomer.post("/submissions", body | {"source": "print(2)"}, headers={"Idempotency-Key": "once"})

    assert first.json()["id"] == again.json()["id"]
    assert_problem(other, 409)
    assert len(newcomer.get("/submissions").json()["items"]) == 1


def test_flood_of_logins_is_stopped_with_retry_after(stack):
    for _ in range(80):
        answer = requests.post(
            f"{stack.url}/api/auth/login", json={"login": "nobody-here", "password": "wrong password"}, timeout=10
        )
        if answer.status_code == 429:
            break
        assert_problem(answer, 401)

    assert_problem(answer, 429)
    assert int(answer.headers["Retry-After"]) >= 1


def test_answers_to_people_and_programs_are_never_html(stack):
    for path in ("/api/nowhere", "/api/auth/nowhere", "/internal/x"):
        assert "<html" not in requests.get(stack.url + path, timeout=10).text.lower()


def test_one_request_id_follows_the_submission_into_every_log(stack, visitor):
    request_id = "follow-me-0123456789"
    answer = visitor.post(
        "/submissions", {"source": "print(1)", "language": "python"}, headers={"X-Request-Id": request_id}
    )
    visitor.wait_for(answer.json()["id"])

    assert answer.headers["X-Request-Id"] == request_id
    for part in ("nginx", "main_service", "executor_worker"):
        lines = [line for line in stack.log(part).splitlines() if request_id in line]
        assert lines, part
        assert all(json.loads(line) for line in lines)
