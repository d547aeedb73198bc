"""Health of a process without Flask: alive, ready or why not, metrics."""

import json
import urllib.error
import urllib.request

import pytest

from service_kit.health import serve_health


@pytest.fixture
def ask():
    state = {"runner": None}

    def broken():
        raise OSError("gone")

    server = serve_health("127.0.0.1:0", {"runner": lambda: state["runner"], "broken": broken})

    def ask(path):
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{server.server_port}{path}", timeout=5) as answer:
                return answer.status, answer.read()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.read()

    yield ask
    server.shutdown()
    server.server_close()


def test_live_process_says_so(ask):
    assert ask("/livez")[0] == 200


def test_a_check_that_raises_makes_the_process_unready_and_is_named(ask):
    status, body = ask("/readyz")

    assert status == 503
    assert json.loads(body) == {"runner": "ok", "broken": "OSError"}


def test_metrics_are_in_prometheus_text(ask):
    status, body = ask("/metrics")

    assert status == 200
    assert b"# HELP labs_http_requests_total" in body


def test_unknown_page_is_not_found(ask):
    assert ask("/secret")[0] == 404
