"""What dispatch looks after: unsent rows, stale messages, silent workers, dead letters."""

import json
import threading
from datetime import UTC, datetime, timedelta

import pytest
import requests
from sqlalchemy import select, update

from local_stack import ports
from main_service.extensions import db
from main_service.models import Submission
from main_service.submissions.dispatch import Dispatcher
from service_kit.messages import DEAD_QUEUE, INTERACTIVE_QUEUE
from tests.main_service.people import Worker
from tests.main_service.processes import DispatchProcess
from tests.main_service.queues import channel_to, take_all, wait_until

URL = "/api/submissions"
CODE = {"source": "print()"}
LONG_AGO = timedelta(days=1)


@pytest.fixture
def app(make_app, amqp_url):
    """The dispatcher's app: its broker is there."""
    return make_app(AMQP_URL=amqp_url)


@pytest.fixture
def sweep(app):
    dispatcher = Dispatcher(app)
    yield dispatcher.sweep
    dispatcher._hang_up()


@pytest.fixture
def submit_unsent(make_app, student):
    """Hand in through an API that does not reach the broker."""
    client = make_app(MAX_WAITING_PER_USER=1000).test_client()

    def hand_in():
        return client.post(URL, json=CODE, headers=student.headers).json["id"]

    return hand_in


@pytest.fixture
def read(client, student):
    return lambda submission_id: client.get(f"{URL}/{submission_id}", headers=student.headers).json


def change(app, submission_id, **values):
    with app.app_context():
        db.session.execute(update(Submission).where(Submission.id == submission_id).values(**values))
        db.session.commit()


def make_due(app, submission_id):
    change(app, submission_id, due_at=datetime.now(UTC) - LONG_AGO)


def column(app, submission_id, name):
    with app.app_context():
        query = select(getattr(Submission, name)).where(Submission.id == submission_id)
        return db.session.execute(query).scalar_one()


def job_keys(amqp_url):
    return [message["job_key"] for _, message in take_all(amqp_url, INTERACTIVE_QUEUE)]


def bury(amqp_url):
    """Do with every message what broken workers do: return it until the broker has had enough."""
    with channel_to(amqp_url) as channel:
        while True:
            method, _, _ = channel.basic_get(INTERACTIVE_QUEUE)
            if method is None:
                if channel.queue_declare(DEAD_QUEUE, passive=True).method.message_count:
                    return
                continue
            channel.basic_nack(method.delivery_tag, requeue=True)


# Unsent --------------------------------------------------------------------------------------------


def test_what_was_not_sent_is_sent(app, amqp_url, sweep, submit_unsent, read):
    ids = [submit_unsent() for _ in range(3)]
    for submission_id in ids:
        make_due(app, submission_id)

    sweep()

    assert job_keys(amqp_url) == [f"sub-{submission_id}-2" for submission_id in ids]
    seen = [read(submission_id) for submission_id in ids]
    assert all(submission["published_at"] for submission in seen)


def test_a_send_that_may_still_be_under_way_is_left_alone(amqp_url, sweep, submit_unsent, read):
    submission_id = submit_unsent()

    sweep()

    assert job_keys(amqp_url) == []
    assert read(submission_id)["published_at"] is None


def test_what_was_sent_is_not_sent_again(app, amqp_url, client, sweep, student):
    client.post(URL, json=CODE, headers=student.headers)

    for _ in range(3):
        sweep()

    assert len(job_keys(amqp_url)) == 1


def test_the_request_id_travels_with_a_late_message_too(app, amqp_url, sweep, make_app, student):
    headers = student.headers | {"X-Request-Id": "one-of-ours"}
    submission_id = make_app().test_client().post(URL, json=CODE, headers=headers).json["id"]
    make_due(app, submission_id)

    sweep()

    [(properties, message)] = take_all(amqp_url, INTERACTIVE_QUEUE)
    assert message["request_id"] == properties.correlation_id == "one-of-ours"


def test_a_large_backlog_goes_out_in_several_sweeps(app, amqp_url, submit_unsent, sweep):
    ids = [submit_unsent() for _ in range(230)]
    with app.app_context():
        db.session.execute(update(Submission).values(due_at=datetime.now(UTC) - LONG_AGO))
        db.session.commit()

    assert sweep() is True  # There is more.
    assert sweep() is False

    assert sorted(job_keys(amqp_url)) == sorted(f"sub-{submission_id}-2" for submission_id in ids)


def test_what_the_broker_did_not_take_is_due_again_at_once(app, amqp_url, broker, submit_unsent, sweep, read):
    ids = [submit_unsent() for _ in range(6)]
    for submission_id in ids:
        make_due(app, submission_id)
    with channel_to(amqp_url):
        pass
    vhost = amqp_url.rpartition("/")[2]
    broker.ctl("set_policy", "-p", vhost, "short", "^submissions", '{"max-length": 1}', "--apply-to", "queues")

    sweep()
    first = job_keys(amqp_url)
    for _ in range(6):
        sweep()
        first += job_keys(amqp_url)

    assert {key.split("-")[1] for key in first} == {str(submission_id) for submission_id in ids}
    assert all(read(submission_id)["published_at"] for submission_id in ids)


def test_two_dispatchers_share_the_rows(make_app, amqp_url, submit_unsent, app):
    """On SQLite a lock keeps the second one out (see below); should both run all the same, no row goes out twice."""
    ids = [submit_unsent() for _ in range(60)]
    for submission_id in ids:
        make_due(app, submission_id)
    dispatchers = [Dispatcher(make_app(AMQP_URL=amqp_url)) for _ in range(2)]
    start = threading.Barrier(2)

    def run(dispatcher):
        start.wait()
        dispatcher.sweep_once()

    threads = [threading.Thread(target=run, args=(dispatcher,)) for dispatcher in dispatchers]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert sorted(job_keys(amqp_url)) == sorted(f"sub-{submission_id}-2" for submission_id in ids)


# Stale ---------------------------------------------------------------------------------------------


def test_a_message_the_broker_lost_is_sent_again_with_growing_patience(app, amqp_url, client, sweep, student):
    submission_id = client.post(URL, json=CODE, headers=student.headers).json["id"]
    published_at = column(app, submission_id, "published_at")
    assert job_keys(amqp_url) == [f"sub-{submission_id}-1"]  # And gone, as with a broker's lost disk.

    waits = []
    for number in (2, 3, 4):
        make_due(app, submission_id)
        sweep()
        assert job_keys(amqp_url) == [f"sub-{submission_id}-{number}"]
        sweep()
        assert job_keys(amqp_url) == []
        waits.append((column(app, submission_id, "due_at") - datetime.now(UTC)).total_seconds())

    assert [round(wait / 60) for wait in waits] == [2, 4, 8]
    assert column(app, submission_id, "published_at") == published_at


def test_a_plain_backlog_is_not_sent_twice(app, amqp_url, client, sweep, make_caller):
    ids = []
    for _ in range(12):
        ids.append(client.post(URL, json=CODE, headers=make_caller().headers).json["id"])
        make_due(app, ids[-1])

    sweep()

    assert job_keys(amqp_url) == [f"sub-{submission_id}-1" for submission_id in ids]


# Given back ----------------------------------------------------------------------------------------


def test_a_silent_workers_run_is_announced_again_in_the_same_sweep(app, amqp_url, client, sweep, student):
    submission_id = client.post(URL, json=CODE, headers=student.headers).json["id"]
    job_keys(amqp_url)
    Worker(client).claim(submission_id)
    change(app, submission_id, lease_until=datetime.now(UTC) - LONG_AGO)

    sweep()

    assert job_keys(amqp_url) == [f"sub-{submission_id}-2"]
    answer = Worker(client, "next").claim(submission_id, job_key=f"sub-{submission_id}-2")
    assert (answer.status_code, answer.json["attempt"]) == (200, 2)


def test_an_internal_error_is_announced_again_after_a_pause(app, amqp_url, client, sweep, student):
    submission_id = client.post(URL, json=CODE, headers=student.headers).json["id"]
    job_keys(amqp_url)
    worker = Worker(client)
    worker.claim(submission_id)
    worker.report(submission_id, status="internal_error")

    sweep()
    at_once = job_keys(amqp_url)
    make_due(app, submission_id)
    sweep()

    assert at_once == []
    assert job_keys(amqp_url) == [f"sub-{submission_id}-2"]


# Dead letters --------------------------------------------------------------------------------------


def test_a_message_no_worker_can_deal_with_ends_as_our_fault(amqp_url, client, sweep, student, read):
    submission_id = client.post(URL, json=CODE, headers=student.headers).json["id"]
    bury(amqp_url)

    sweep()

    seen = read(submission_id)
    assert seen["status"] == "internal_error"
    assert seen["error"]["type"] == "internal_error"
    assert take_all(amqp_url, DEAD_QUEUE) == []


def test_a_dead_message_of_a_finished_submission_changes_nothing(amqp_url, client, sweep, student, read):
    submission_id = client.post(URL, json=CODE, headers=student.headers).json["id"]
    worker = Worker(client)
    worker.claim(submission_id)
    worker.report(submission_id)
    bury(amqp_url)

    sweep()

    assert read(submission_id)["status"] == "completed"


def test_a_dead_message_does_not_speak_for_a_later_one(app, amqp_url, client, sweep, student, read):
    submission_id = client.post(URL, json=CODE, headers=student.headers).json["id"]
    bury(amqp_url)
    change(app, submission_id, dispatches=2)

    sweep()

    assert read(submission_id)["status"] == "queued"
    assert take_all(amqp_url, DEAD_QUEUE) == []


def test_the_dead_message_of_a_running_attempt_ends_it(amqp_url, client, sweep, student, read):
    """Its worker put it away: nobody runs it any more, and nobody would until the lease lapses."""
    submission_id = client.post(URL, json=CODE, headers=student.headers).json["id"]
    Worker(client).claim(submission_id)
    bury(amqp_url)

    sweep()

    assert read(submission_id)["status"] == "internal_error"


@pytest.mark.parametrize(
    "letter", [b"", b"not json", b"\xff", b"[]", json.dumps({"v": 2}).encode(), b'{"v":1,"kind":"submission.run"}']
)
def test_an_unreadable_dead_letter_is_put_away(amqp_url, sweep, letter):
    with channel_to(amqp_url) as channel:
        channel.basic_publish("", DEAD_QUEUE, letter)

    wait_until(lambda: sweep() or queue_is_empty(amqp_url, DEAD_QUEUE))


def queue_is_empty(amqp_url, queue):
    with channel_to(amqp_url) as channel:
        return channel.queue_declare(queue, passive=True).method.message_count == 0


# The process ---------------------------------------------------------------------------------------


@pytest.fixture
def start_dispatch(settings, main_url, amqp_url, tmp_path):
    started: list[DispatchProcess] = []

    def start(*arguments, **changes):
        environment = (
            settings | {"DATABASE_URL_MAIN": main_url, "AMQP_URL": amqp_url, "APP_ENV": "production"} | changes
        )
        started.append(DispatchProcess(environment, tmp_path / f"dispatch-{len(started)}.log", *arguments))
        return started[-1]

    yield start
    for dispatch in started:
        if dispatch.process.poll() is None:
            dispatch.process.kill()
            dispatch.process.wait()


def test_the_process_sends_says_how_it_is_and_ends_when_told(app, amqp_url, start_dispatch, submit_unsent, read):
    submission_id = submit_unsent()
    make_due(app, submission_id)
    [port] = ports.choose(1)

    dispatch = start_dispatch(HEALTH_BIND=f"127.0.0.1:{port}")
    wait_until(lambda: read(submission_id)["published_at"])
    ready = requests.get(f"http://127.0.0.1:{port}/readyz", timeout=5)
    metrics = requests.get(f"http://127.0.0.1:{port}/metrics", timeout=5).text

    assert (ready.status_code, ready.json()) == (200, {"database": "ok", "sweep": "ok"})
    assert 'labs_jobs_sent_total{by="dispatch",outcome="sent"} 1.0' in metrics
    assert 'labs_submissions_unfinished{state="running"} 0.0' in metrics
    assert dispatch.end() == 0
    assert dispatch.has_said('"dispatch_stopped"')
    assert job_keys(amqp_url) == [f"sub-{submission_id}-2"]


def test_once_sends_what_is_due_and_exits(app, amqp_url, start_dispatch, submit_unsent):
    submission_id = submit_unsent()
    make_due(app, submission_id)

    assert start_dispatch("--once").process.wait(30) == 0

    assert job_keys(amqp_url) == [f"sub-{submission_id}-2"]


def test_once_without_a_broker_says_so_and_fails(start_dispatch):
    dispatch = start_dispatch("--once", AMQP_URL="amqp://nobody:nothing@127.0.0.1:1/none")

    assert dispatch.process.wait(30) == 1
    assert dispatch.has_said("QueueUnavailable")
    assert not dispatch.has_said("Traceback")


@pytest.mark.parametrize("main_url", ["sqlite"], indirect=True)
def test_on_sqlite_a_second_process_waits_for_the_first(start_dispatch):
    first = start_dispatch()
    wait_until(lambda: first.has_said("dispatch_started"))
    second = start_dispatch()
    wait_until(lambda: second.has_said("dispatch_waits_for_another"))
    assert start_dispatch("--once").process.wait(30) == 1

    first.process.kill()
    first.process.wait()

    wait_until(lambda: second.has_said("dispatch_started"))
    assert second.end() == 0
