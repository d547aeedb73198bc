import stat

import pytest

from local_stack.layout import State, forget_socket_folder, socket_folder, write_private


def test_state_folders_are_closed_to_other_users(tmp_path):
    state = State(tmp_path / "state")

    state.make()

    folders = [state.home, *state.made_by_us()]
    assert {stat.S_IMODE(folder.stat().st_mode) for folder in folders} == {0o700}


def test_state_folder_that_was_there_keeps_its_mode(tmp_path):
    home = tmp_path / "state"
    home.mkdir(mode=0o755)
    home.chmod(0o755)

    State(home).make()

    assert stat.S_IMODE(home.stat().st_mode) == 0o755


def test_sockets_live_in_the_state_folder_where_its_path_is_short(tmp_path):
    state = State(tmp_path)
    if len(str(state.run)) > 70:
        pytest.skip("pytest's own folder is too long here")

    assert socket_folder(state) == state.run


def test_sockets_move_to_a_short_private_folder_where_the_path_is_long(tmp_path):
    state = State(tmp_path / ("long" * 30))

    folder = socket_folder(state)

    assert len(str(folder / "supervisor.sock.1234567")) < 100
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700

    forget_socket_folder(state, folder)

    assert not folder.exists()


def test_the_run_folder_is_never_forgotten(tmp_path):
    state = State(tmp_path)
    state.make()

    forget_socket_folder(state, state.run)

    assert state.run.exists()


def test_private_file_is_replaced_whole_and_readable_by_us_alone(tmp_path):
    path = tmp_path / "secret"
    path.write_text("old")
    path.chmod(0o644)

    write_private(path, "new")

    assert path.read_text() == "new"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert list(tmp_path.iterdir()) == [path]
