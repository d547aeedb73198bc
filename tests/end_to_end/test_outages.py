"""Parts die; submissions do not."""

import os
import signal
import time

import pytest


@pytest.fixture(autouse=True)
def _well_again(stack):
    """What one test broke must not fail the next."""
    yield
    stack.wait_until_ready()


def test_broker_killed_submission_is_accepted_and_run_later(stack, newcomer):
    os.kill(stack.pid("rabbitmq"), signal.SIGKILL)

    started = time.monotonic()
    submission = newcomer.submit("print('later')")
    took = time.monotonic() - started

    assert took < 4
    assert newcomer.wait_for(submission["id"], seconds=60)["stdout"] == "later\n"


def test_broker_frozen_submission_is_accepted_and_run_later(stack, newcomer):
    pid = stack.pid("rabbitmq")
    os.kill(pid, signal.SIGSTOP)
    try:
        started = time.monotonic()
        submissions = [newcomer.submit(f"print({number})") for number in range(3)]
        took = time.monotonic() - started
    finally:
        os.kill(pid, signal.SIGCONT)

    assert took < 3 * 4
    for number, submission in enumerate(submissions):
        assert newcomer.wait_for(submission["id"], seconds=60)["stdout"] == f"{number}\n"


@pytest.mark.parametrize("part", ["executor_worker", "runner"])
def test_part_killed_in_the_middle_of_a_run_one_result_comes(stack, newcomer, part):
    submission = newcomer.submit("import time\ntime.sleep(2)\nprint('done')")
    deadline = time.monotonic() + 10
    while newcomer.get(f"/submissions/{submission['id']}").json()["status"] != "running":
        assert time.monotonic() < deadline
    os.kill(stack.pid(part), signal.SIGKILL)

    result = newcomer.wait_for(submission["id"], seconds=60)

    assert result["status"] == "completed"
    assert result["stdout"] == "done\n"
    assert result["attempt"] == 2


@pytest.mark.parametrize("part", ["auth_service", "main_service", "nginx", "dispatch"])
def test_part_that_dies_is_started_again(stack, newcomer, part):
    before = stack.pid(part)

    os.kill(before, signal.SIGKILL)

    deadline = time.monotonic() + 30
    while stack.pid(part) in (0, before):
        assert time.monotonic() < deadline, stack.log(part)
        time.sleep(0.1)
    stack.wait_until_ready()
    assert newcomer.run("print('back')", seconds=60)["stdout"] == "back\n"
