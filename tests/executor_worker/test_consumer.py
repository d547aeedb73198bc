"""The worker as a process between a real broker and its two doubled neighbours: nothing is lost, nothing done twice."""

import json
import time
import urllib.error
import urllib.request
from collections.abc import Callable

import pytest

from local_stack import ports
from service_kit.messages import BATCH_QUEUE, DEAD_QUEUE, INTERACTIVE_QUEUE
from tests.executor_worker.main_service_double import Row
from tests.executor_worker.queues import Queues
from tests.executor_worker.runner_double import Run, cell, hello_world, notebook
from tests.executor_worker.waiting import eventually


class Gate:
    """A program that runs until it is opened."""

    def __init__(self) -> None:
        self.is_open = False
        self.runs: list[Run] = []

    def __call__(self, run: Run) -> None:
        self.runs.append(run)
        run.say(notebook("a", kind="script"))
        run._control.settimeout(0.05)
        while not self.is_open:
            try:
                if run._control.recv(1) == b"":
                    run.was_hung_up = True
                    return
            except TimeoutError:
                pass
        run.say(cell("a", "at last"), {"type": "done"})


@pytest.fixture
def gate(runner):
    gate = Gate()
    runner.programs["endless"] = gate
    yield gate
    gate.is_open = True


def is_done(*rows: Row) -> Callable[[], bool]:
    return lambda: all(row.status not in ("queued", "running") for row in rows)


def nothing_unanswered(queues: Queues, queue: str = INTERACTIVE_QUEUE) -> bool:
    """With no consumer left, every message that was not acknowledged waits again."""
    return queues.consumers(queue) == 0 and queues.waiting(queue) == 0


def test_a_submission_goes_through_and_its_message_is_gone(start_worker, amqp_url, queues, main_service):
    row = main_service.add(1)
    worker = start_worker(amqp_url)

    queues.send(1, request_id="request-of-one")
    eventually(is_done(row), "done")

    assert row.status == "completed"
    assert row.request_ids == {"request-of-one"}
    worker.terminate()
    assert worker.process.wait(10) == 0
    assert nothing_unanswered(queues)
    lines = [json.loads(line) for line in worker.log.splitlines()]
    (reported,) = [line for line in lines if line["message"] == "run_reported"]
    assert (reported["request_id"], reported["status"]) == ("request-of-one", "completed")


def test_messages_sent_before_the_worker_came_are_done(start_worker, amqp_url, queues, main_service):
    rows = [main_service.add(number) for number in range(1, 31)]
    for number in range(1, 31):
        queues.send(number)

    start_worker(amqp_url)

    eventually(is_done(*rows), "all done")
    assert all(len(row.results) == 1 for row in rows)


def test_never_more_at_once_than_there_are_slots(start_worker, amqp_url, queues, main_service, gate):
    rows = [main_service.add(number, "endless") for number in range(1, 6)]
    start_worker(amqp_url, EXECUTOR_SLOTS=2)
    for number in range(1, 6):
        queues.send(number)

    eventually(lambda: len(gate.runs) == 2, "two runs")
    eventually(lambda: queues.waiting() == 3, "the others still with the broker")

    gate.is_open = True
    eventually(is_done(*rows), "all done")


def test_a_duplicate_message_is_run_once(start_worker, amqp_url, queues, main_service, gate):
    row = main_service.add(1, "endless")
    worker = start_worker(amqp_url)

    queues.send(1)
    eventually(lambda: gate.runs, "running")
    queues.send(1)
    eventually(lambda: worker.has_logged("claim_refused"), "the twin refused")
    gate.is_open = True
    eventually(is_done(row), "done")
    queues.send(1)
    eventually(lambda: worker.has_logged("claim_refused", 2), "the late twin refused")

    assert len(row.results) == len(gate.runs) == 1


POISON = {
    "not JSON": b"hello",
    "empty": b"",
    "no object": b"[]",
    "unknown version": b'{"v":99,"kind":"submission.run","submission_id":1,"job_key":"k","request_id":"r"}',
    "unknown kind": b'{"v":1,"kind":"submission.burn","submission_id":1,"job_key":"k","request_id":"r"}',
    "id is a text": b'{"v":1,"kind":"submission.run","submission_id":"1","job_key":"k","request_id":"r"}',
    "deep": b"[" * 100_000,
}


def test_poison_goes_to_the_dead_queue_and_the_worker_goes_on(start_worker, amqp_url, queues, main_service):
    row = main_service.add(1)
    worker = start_worker(amqp_url)

    for body in POISON.values():
        queues.send_raw(body)
    queues.send(1)

    eventually(is_done(row), "the good one done")
    eventually(lambda: queues.waiting(DEAD_QUEUE) == len(POISON), "the bad ones dead")
    assert {queues.take(DEAD_QUEUE)[1] for _ in POISON} == set(POISON.values())
    assert worker.process.poll() is None


def test_a_job_that_main_service_cannot_take_back_goes_to_the_dead_queue(start_worker, amqp_url, queues, main_service):
    main_service.add(1)
    main_service.answer_instead["/result"] = 422
    start_worker(amqp_url)

    queues.send(1)

    properties, _ = eventually(lambda: queues.take(DEAD_QUEUE), "dead")
    assert properties.headers["x-first-death-queue"] == INTERACTIVE_QUEUE


def test_sigterm_lets_the_running_job_end(start_worker, amqp_url, queues, main_service, gate):
    row, waiting = main_service.add(1, "endless"), main_service.add(2)
    worker = start_worker(amqp_url, EXECUTOR_SLOTS=1)
    queues.send(1)
    eventually(lambda: gate.runs, "running")

    worker.terminate()
    eventually(lambda: worker.has_logged("draining"), "draining")
    queues.send(2)
    gate.is_open = True

    assert worker.process.wait(10) == 0
    assert row.status == "completed"
    assert waiting.claims == []
    eventually(lambda: queues.waiting() == 1, "the job that came too late still there")


def test_when_the_drain_time_is_over_the_run_is_killed_and_given_back(
    start_worker, amqp_url, queues, main_service, gate
):
    row = main_service.add(1, "endless")
    worker = start_worker(amqp_url, DRAIN_SECONDS=1)
    queues.send(1)
    eventually(lambda: gate.runs, "running")

    worker.terminate()

    assert worker.process.wait(10) == 0
    eventually(lambda: gate.runs[0].was_hung_up, "the run killed")
    eventually(lambda: queues.waiting() == 1, "the message back")
    gate.is_open = True
    start_worker(amqp_url)
    eventually(is_done(row), "done by another")
    assert [claim["redelivered"] for claim in row.claims] == [False, True]
    assert row.attempt == 2
    assert len(row.results) == 1


def test_a_worker_killed_in_the_middle_loses_nothing(start_worker, amqp_url, queues, main_service, gate):
    row = main_service.add(1, "endless")
    worker = start_worker(amqp_url)
    queues.send(1)
    eventually(lambda: gate.runs, "running")

    worker.kill()
    eventually(lambda: gate.runs[0].was_hung_up, "its run killed")
    gate.is_open = True
    start_worker(amqp_url)

    eventually(is_done(row), "done by another")
    assert row.attempt == 2
    assert len(row.results) == 1
    eventually(lambda: queues.waiting() == 0, "the message gone")


@pytest.mark.parametrize("queue", [INTERACTIVE_QUEUE, BATCH_QUEUE])
def test_a_queue_deleted_under_the_worker_is_made_again(start_worker, amqp_url, queues, main_service, queue):
    row = main_service.add(1)
    worker = start_worker(amqp_url)
    eventually(lambda: queues.consumers() == 1, "consuming")

    queues.delete(queue)
    eventually(lambda: worker.has_logged("broker_connected", 2), "connected again")
    queues.send(1, queue)

    eventually(is_done(row), "done")


def test_students_go_before_batch_work(start_worker, amqp_url, queues, main_service, runner, gate):
    order = []

    def take_note(run: Run) -> None:
        order.append(run.job["source"])
        hello_world(run)

    runner.programs["batch"] = runner.programs["student"] = take_note
    blocker = main_service.add(1, "endless")
    start_worker(amqp_url, EXECUTOR_SLOTS=1)
    queues.send(1)
    eventually(lambda: gate.runs, "the only slot taken")

    rows = []
    for number, (source, queue) in enumerate([("batch", BATCH_QUEUE), ("student", INTERACTIVE_QUEUE)] * 3, start=2):
        rows.append(main_service.add(number, source))
        queues.send(number, queue)
    gate.is_open = True

    eventually(is_done(blocker, *rows), "all done")
    assert order.count("student") == order.count("batch") == 3
    assert order.index("student") < order.index("batch")


def test_batch_work_leaves_a_slot_for_students(start_worker, amqp_url, queues, main_service, gate):
    for number in range(1, 5):
        main_service.add(number, "endless")
        queues.send(number, BATCH_QUEUE)
    start_worker(amqp_url, EXECUTOR_SLOTS=2)
    eventually(lambda: gate.runs, "one batch job running")

    student = main_service.add(9)
    queues.send(9)

    eventually(is_done(student), "the student served while batch work runs")
    assert len(gate.runs) == 1
    assert queues.waiting(BATCH_QUEUE) == 3


def test_while_the_runner_is_away_no_message_is_taken(start_worker, amqp_url, queues, main_service, runner):
    port = ports.choose(1)[0]
    worker = start_worker(amqp_url, HEALTH_BIND=f"127.0.0.1:{port}")
    eventually(lambda: queues.consumers() == 1, "consuming")
    assert readiness(port)[0] == 200

    runner.stop()
    eventually(lambda: worker.has_logged("runner_away"), "runner missed")
    eventually(lambda: queues.consumers() == 0, "consuming no more")
    row = main_service.add(1)
    queues.send(1)
    status, report = readiness(port)
    assert status == 503
    assert report["broker"] == "ok"
    assert "cannot be reached" in report["runner"]
    assert row.claims == []

    runner.start()
    eventually(is_done(row), "done by itself")
    assert row.attempt == 1


def test_a_runner_that_dies_in_a_run_costs_one_attempt_and_no_more(
    start_worker, amqp_url, queues, main_service, runner, gate
):
    row = main_service.add(1, "endless")
    worker = start_worker(amqp_url)
    queues.send(1)
    eventually(lambda: gate.runs, "running")

    runner.stop()

    eventually(lambda: row.results, "reported")
    assert row.result["status"] == "internal_error"
    assert row.status == "queued"  # main_service sends it again.
    gate.is_open = True
    runner.start()
    queues.send(1, n=2)
    eventually(is_done(row), "done in the second attempt")
    assert row.attempt == 2
    assert worker.process.poll() is None


@pytest.mark.slow  # The ten seconds that an answer may take.
def test_a_frozen_main_service_loses_nothing(start_worker, amqp_url, queues, main_service):
    rows = [main_service.add(number) for number in range(1, 6)]
    worker = start_worker(amqp_url)
    main_service.freeze()
    for number in range(1, 6):
        queues.send(number)

    eventually(lambda: worker.has_logged("main_service_away"), "missed")  # 10 s: the time an answer may take.
    main_service.thaw()

    eventually(is_done(*rows), "all done")
    assert all(len(row.results) == 1 and row.attempt <= 2 for row in rows)
    assert worker.log.count("main_service_away") == 1


def test_main_service_gone_while_a_program_runs(start_worker, amqp_url, queues, main_service, gate):
    row = main_service.add(1, "endless")
    worker = start_worker(amqp_url)
    queues.send(1)
    eventually(lambda: gate.runs, "running")

    main_service.stop()
    gate.is_open = True
    eventually(lambda: worker.has_logged("main_service_away"), "missed")
    assert queues.waiting() == 0  # The message is kept, unacknowledged.
    main_service.start()

    eventually(is_done(row), "stored")
    assert len(gate.runs) == 1


def test_the_worker_announces_itself(start_worker, amqp_url, main_service):
    start_worker(amqp_url, WORKER_ID="worker-of-the-test")

    told = eventually(lambda: main_service.workers.get("worker-of-the-test"), "announced")

    assert told["languages"][0]["id"] == "python"
    assert told["slots"] == 2


def test_metrics_tell_what_went_on(start_worker, amqp_url, queues, main_service):
    port = ports.choose(1)[0]
    row = main_service.add(1)
    start_worker(amqp_url, HEALTH_BIND=f"127.0.0.1:{port}")
    queues.send(1)
    eventually(is_done(row), "done")

    def body() -> str:
        return urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=5).read().decode()  # type: ignore[no-any-return]

    eventually(lambda: 'labs_worker_messages_total{answer="ack"} 1.0' in body(), "the ack counted")
    assert 'labs_worker_runs_total{status="completed"} 1.0' in body()
    for peer in ("broker", "runner", "main_service"):
        assert f'labs_worker_reached{{peer="{peer}"}} 1.0' in body()


def test_bad_settings_are_all_named_at_once(start_worker):
    worker = start_worker("http://not-a-broker", wait=False, SERVICE_TOKEN="", EXECUTOR_SLOTS="many")

    assert worker.process.wait(10) == 78
    for name in ("AMQP_URL", "SERVICE_TOKEN", "EXECUTOR_SLOTS"):
        assert name in worker.log
    assert "Traceback" not in worker.log


# The broker itself mistreated: a node of its own, because nothing else survives it. -----------------


@pytest.mark.slow
@pytest.mark.parametrize("how", ["stop", "kill"])
def test_a_restarted_broker_is_found_again(start_worker, broker_node, main_service, gate, how):
    """A run under way is neither lost nor repeated: the message that comes back meets the run still flying."""
    row, later = main_service.add(1, "endless"), main_service.add(2)
    main_service.limits["wall_ms"] = 120_000  # A restart takes its time.
    with Queues(broker_node.url) as queues:
        worker = start_worker(broker_node.url)
        queues.send(1)
        eventually(lambda: gate.runs, "running")

    getattr(broker_node, how)()
    eventually(lambda: worker.has_logged("broker_away"), "missed")
    broker_node.start()
    broker_node.wait_ready()
    eventually(lambda: worker.has_logged("broker_connected", 2), "found again", seconds=60)
    with Queues(broker_node.url) as queues:
        queues.send(2)
        eventually(is_done(later), "the next one done", seconds=60)
        gate.is_open = True
        eventually(is_done(row), "the first one done")
        worker.terminate()
        assert worker.process.wait(10) == 0

        assert len(gate.runs) == len(row.claims) == len(row.results) == 1
        assert nothing_unanswered(queues)


@pytest.mark.slow
def test_a_channel_closed_by_the_brokers_patience_is_opened_again(start_worker, broker_node, main_service, gate):
    """consumer_timeout: the connection lives on, the channel is gone, and pika raises nothing."""
    patience = (
        "[application:set_env(rabbit, Name, Value) || "
        "{{Name, Value}} <- [{{consumer_timeout, {}}}, {{channel_tick_interval, {}}}]]."
    )
    row = main_service.add(1, "endless")
    main_service.limits["wall_ms"] = 120_000
    broker_node.ctl("eval", patience.format(1_000, 1_000))
    try:
        with Queues(broker_node.url) as queues:
            worker = start_worker(broker_node.url)
            queues.send(1)
            eventually(lambda: gate.runs, "running")

            eventually(lambda: worker.has_logged("broker_connected", 2), "connected again")
            gate.is_open = True

            eventually(is_done(row), "done")
            worker.terminate()
            assert worker.process.wait(10) == 0
            assert len(gate.runs) == len(row.claims) == len(row.results) == 1
            assert nothing_unanswered(queues)
    finally:
        broker_node.ctl("eval", patience.format(1_800_000, 60_000))


@pytest.mark.slow
def test_a_frozen_broker_does_not_keep_the_worker_from_leaving(start_worker, broker_node, main_service, gate):
    row = main_service.add(1, "endless")
    with Queues(broker_node.url) as queues:
        worker = start_worker(broker_node.url, DRAIN_SECONDS=2)
        queues.send(1)
        eventually(lambda: gate.runs, "running")

    broker_node.freeze()
    gate.is_open = True
    eventually(is_done(row), "stored, broker or not")
    worker.terminate()

    assert worker.process.wait(12) == 0


def test_a_second_signal_does_not_wait_for_the_running_job(start_worker, amqp_url, queues, main_service, gate):
    row = main_service.add(1, "endless")
    worker = start_worker(amqp_url, DRAIN_SECONDS=60)
    queues.send(1)
    eventually(lambda: gate.runs, "running")

    worker.terminate()
    eventually(lambda: worker.has_logged("draining"), "draining")
    worker.terminate()

    assert worker.process.wait(10) == 0
    assert row.results == []
    eventually(lambda: queues.waiting() == 1, "the message back")


def test_no_broker_at_all_is_said_once_and_waited_for(start_worker):
    port = ports.choose(1)[0]
    worker = start_worker(f"amqp://labs:labs@127.0.0.1:{port}/labs", wait=False)

    eventually(lambda: worker.has_logged("broker_away"), "said")
    time.sleep(2)  # Time for a second try.
    worker.terminate()

    assert worker.process.wait(10) == 0
    assert worker.log.count("broker_away") == 1


def readiness(port: int) -> tuple[int, dict[str, str]]:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/readyz", timeout=5) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as answer:
        with answer:
            return answer.code, json.load(answer)
