"""Too many requests are told so, in the one error shape, with the time to wait."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.nginx.gateway import Gateway, Upstream, environment, running

LOGIN, SUBMIT, RERUN, READ = "/api/auth/login", "/api/submissions", "/api/submissions/7/rerun", "/api/submissions/7"


@pytest.fixture
def limited(tmp_path: Path, auth: Upstream, main: Upstream) -> Iterator[Gateway]:
    """Slow enough that no slot comes free while a test looks: log-ins 2/min (3 at once), submissions 3/min (4)."""
    variables = environment(
        tmp_path, auth.address, main.address, RATE_LOGIN="2r/m:2", RATE_SUBMIT="3r/m:3", RATE_API="6r/m:11"
    )
    with running(tmp_path, variables) as gateway:
        yield gateway


def statuses(gateway: Gateway, method: str, path: str, times: int, token: str = "") -> list[int]:
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    return [gateway.request(method, path, headers=headers).status_code for _ in range(times)]


def test_logging_in_too_often_is_a_429_with_the_time_to_wait(limited: Gateway, auth: Upstream) -> None:
    assert statuses(limited, "POST", LOGIN, 3) == [200] * 3

    answer = limited.post(LOGIN, json={})

    assert answer.status_code == 429
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert answer.headers["Retry-After"] == "30"
    assert answer.json()["code"] == "too_many_requests"
    assert answer.json()["request_id"] == answer.headers["X-Request-Id"]
    assert len(auth.asked) == 3


def test_registering_counts_as_trying_a_password(limited: Gateway) -> None:
    assert statuses(limited, "POST", "/api/auth/register", 2) == [200] * 2
    assert statuses(limited, "POST", LOGIN, 2) == [200, 429]
    assert statuses(limited, "POST", "/api/auth/password", 1) == [429]


def test_preflights_and_reads_use_up_no_log_in(limited: Gateway) -> None:
    assert statuses(limited, "OPTIONS", LOGIN, 4) == [200] * 4
    assert statuses(limited, "POST", LOGIN, 1) == [200]


def test_refreshing_is_not_limited_like_logging_in(limited: Gateway) -> None:
    assert statuses(limited, "POST", "/api/auth/refresh", 8) == [200] * 8


def test_submitting_is_counted_by_token(limited: Gateway) -> None:
    assert statuses(limited, "POST", SUBMIT, 3, token="user-1-student") == [200] * 3
    assert statuses(limited, "POST", RERUN, 2, token="user-1-student") == [200, 429]
    assert statuses(limited, "POST", SUBMIT, 1, token="user-2-student") == [200]

    refused = limited.post(SUBMIT, headers={"Authorization": "Bearer user-1-student"})

    assert refused.headers["Retry-After"] == "20"


def test_submitting_without_a_token_is_counted_by_address(limited: Gateway) -> None:
    assert statuses(limited, "POST", SUBMIT, 5) == [200] * 4 + [429]


def test_reading_results_uses_up_no_submission(limited: Gateway) -> None:
    assert statuses(limited, "GET", SUBMIT, 5, token="user-1-student") == [200] * 5
    assert statuses(limited, "POST", SUBMIT, 1, token="user-1-student") == [200]


def test_the_whole_api_is_counted_by_address(limited: Gateway) -> None:
    tokens = [f"user-{n}-student" for n in range(12)]

    assert [statuses(limited, "GET", READ, 1, token=token)[0] for token in tokens] == [200] * 12

    answer = limited.get("/api/languages")
    assert (answer.status_code, answer.headers["Retry-After"]) == (429, "1")
    assert limited.get("/").status_code == 200  # The page is no API.


def test_another_token_does_not_lift_the_limit_of_an_address(limited: Gateway, main: Upstream) -> None:
    forged = [limited.post(SUBMIT, headers={"Authorization": f"Bearer forged-{n}"}).status_code for n in range(13)]

    assert forged == [401] * 12 + [429]
    assert main.asked == []


def test_limits_can_be_switched_off(gateway: Gateway) -> None:
    assert statuses(gateway, "POST", LOGIN, 60) == [200] * 60


def test_defaults_let_a_burst_of_twenty_log_ins_through(tmp_path: Path, auth: Upstream, main: Upstream) -> None:
    variables = environment(tmp_path, auth.address, main.address)
    del variables["RATE_LOGIN"]

    with running(tmp_path, variables) as gateway:
        assert statuses(gateway, "POST", LOGIN, 22) == [200] * 21 + [429]


def test_a_refused_request_shows_in_the_log(limited: Gateway) -> None:
    statuses(limited, "POST", LOGIN, 3)

    refused = limited.post(LOGIN, headers={"X-Request-Id": "refused-login-1"})

    line = limited.logged(refused.headers["X-Request-Id"])
    assert (line["status"], line["limit"], line["method"], line["path"]) == (429, "REJECTED", "POST", LOGIN)
