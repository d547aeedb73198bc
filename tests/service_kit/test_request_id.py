"""Request ids: taken over when they look like one, made otherwise, and written to every log line."""

import json
import logging

import pytest

from service_kit.logs import configure_logging
from service_kit.request_id import accept_request_id, current_request_id, use_request_id


def test_a_good_id_is_kept():
    assert accept_request_id("lab-2026.11_23") == "lab-2026.11_23"


@pytest.mark.parametrize("offered", [None, "", "short", "a" * 65, 'x"}\n{"forged": 1}', "пример-ид", "has space 12"])
def test_anything_else_is_replaced(offered):
    accepted = accept_request_id(offered)

    assert accepted != offered
    assert accepted == accept_request_id(accepted)


def test_id_is_current_only_inside_its_block():
    with use_request_id("outer-id-1"):
        with use_request_id("inner-id-1"):
            assert current_request_id() == "inner-id-1"
        assert current_request_id() == "outer-id-1"
    assert current_request_id() == ""


@pytest.fixture
def _root_logger_restored():
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)


@pytest.mark.usefixtures("_root_logger_restored")
def test_log_line_bears_service_request_id_and_fields(capsys):
    configure_logging("main_service")

    with use_request_id("abcd-1234"):
        logging.getLogger("x").info("submission_published", extra={"submission_id": 5})

    line = json.loads(capsys.readouterr().out)
    assert line["message"] == "submission_published"
    assert (line["service"], line["request_id"], line["submission_id"]) == ("main_service", "abcd-1234", 5)
