import json
import os
import socket

import pytest

from local_stack import ports, record
from local_stack.layout import State
from local_stack.processes import Identity


@pytest.fixture
def state(tmp_path):
    made = State(tmp_path / "state")
    made.make()
    return made


@pytest.fixture
def taken_port():
    (port,) = ports.choose(1)
    with socket.socket() as listener:
        listener.bind(("", port))
        listener.listen()
        yield port


def test_every_part_has_a_port_of_its_own(state):
    chosen = record.choose_ports(state, None)

    assert len(set(vars(chosen).values())) == len(vars(chosen))


def test_ports_stay_the_same_from_one_start_to_the_next(state):
    first = record.choose_ports(state, ports.choose(1)[0])
    record.write_ports(state, first)

    assert record.choose_ports(state, first.gateway) == first
    assert record.read_ports(state) == first


def test_next_free_port_is_taken_where_the_wanted_one_is_not_free(state, taken_port):
    chosen = record.choose_ports(state, taken_port)

    assert taken_port < chosen.gateway < taken_port + 200


def test_inner_port_that_somebody_took_is_chosen_anew(state, taken_port):
    former = record.choose_ports(state, None)
    state.ports_file.write_text(json.dumps({**vars(former), "amqp": taken_port}))

    chosen = record.choose_ports(state, None)

    assert chosen.amqp != taken_port
    assert chosen.epmd == former.epmd


@pytest.mark.parametrize("text", ["", "{", "[]", '{"gateway": 1}', '{"gateway": "x"}'])
def test_damaged_record_is_as_good_as_none(state, text):
    state.ports_file.write_text(text)
    (state.run / "stack.json").write_text(text)

    assert record.read_ports(state) is None
    assert record.read_keeper(state) == (None, state.run)
    assert record.choose_ports(state, None).amqp > 0


def test_keeper_is_found_again(state):
    keeper = Identity.of(os.getpid())
    assert keeper is not None

    record.write_keeper(state, keeper, state.run)

    assert record.read_keeper(state) == (keeper, state.run)
