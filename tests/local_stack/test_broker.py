"""Our private broker, and the question that tells it from somebody else's."""

import socket
import threading

import pytest

from local_stack import amqp_probe, ports
from local_stack.broker import BrokerNode


def test_broker_lets_its_user_in(broker):
    assert amqp_probe.refusal(broker.url) is None


def test_wrong_password_is_told_from_a_dead_port(broker):
    assert "ACCESS_REFUSED" in (amqp_probe.refusal(broker.url.replace(broker.password, "guess")) or "")
    assert "ACCESS_REFUSED" in (amqp_probe.refusal(broker.url.replace("labs:" + broker.password, "guest:guest")) or "")


def test_port_where_nobody_listens_is_a_refusal():
    (port,) = ports.choose(1)

    assert amqp_probe.refusal(f"amqp://u:p@127.0.0.1:{port}/v") is not None


def test_web_server_is_not_taken_for_a_broker():
    with socket.create_server(("127.0.0.1", 0)) as server:

        def answer():
            connection, _ = server.accept()
            with connection:
                connection.recv(100)
                connection.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")

        thread = threading.Thread(target=answer)
        thread.start()
        refused = amqp_probe.refusal(f"amqp://u:p@127.0.0.1:{server.getsockname()[1]}/v")
        thread.join()

    assert refused is not None


@pytest.mark.parametrize("url", ["", "http://x/", "amqp://", "localhost:5672"])
def test_what_is_no_broker_url_is_said(url):
    assert "not an amqp" in (amqp_probe.refusal(url) or "")


def test_frozen_broker_does_not_hold_the_question_up(broker_node):
    broker_node.freeze()

    assert amqp_probe.refusal(broker_node.url, timeout=0.5) == "timed out"


@pytest.mark.slow
def test_killed_broker_comes_back_with_its_data_and_leaves_no_epmd(broker_node):
    broker_node.add_vhosts(["kept"])

    broker_node.kill()

    assert not ports.accepts(broker_node.ports.epmd)

    broker_node.start()
    broker_node.wait_ready()

    assert "kept" in broker_node.ctl("list_vhosts").split()


def test_cookie_is_ours_and_kept(tmp_path):
    node = BrokerNode(tmp_path / "node")
    cookie = tmp_path / "node" / ".erlang.cookie"

    node.prepare()
    first = cookie.read_text()
    node.prepare()

    assert len(bytes.fromhex(first)) == 32
    assert cookie.read_text() == first
    assert cookie.stat().st_mode & 0o777 == 0o400


def test_cookie_that_erlang_made_is_replaced(tmp_path):
    node = BrokerNode(tmp_path / "node")
    node.home.mkdir()
    (node.home / ".erlang.cookie").write_text("ABCDEFGHIJKLMNOPQRST")

    node.prepare()

    assert len((node.home / ".erlang.cookie").read_text()) == 64
