"""What the parts of a stack are told."""

import pytest

from local_stack.layout import State
from local_stack.programs import Ports, Stack

PORTS = Ports(gateway=8080, auth_service=1, main_service=2, dispatch=3, executor_worker=4, amqp=5, amqp_distribution=6, epmd=7)  # fmt: skip  # noqa: E501


@pytest.mark.parametrize(
    ("settings", "listens"),
    [({}, "127.0.0.1:8080"), ({"GATEWAY_ADDRESS": "0.0.0.0"}, "0.0.0.0:8080")],
)
def test_gateway_is_reached_from_outside_only_when_told(tmp_path, settings, listens):
    stack = Stack(State(tmp_path), settings, PORTS, sockets=tmp_path)

    assert stack.gateway_environment()["GATEWAY_LISTEN"] == listens
