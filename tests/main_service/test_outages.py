"""The broker stops, dies, freezes or fills its disk while submissions come in: every one is taken in and run later."""

import itertools
import threading
import time
from collections import Counter

import psycopg
import pytest
from sqlalchemy import func, make_url, select

from main_service.extensions import db
from main_service.models import Submission
from service_kit.messages import INTERACTIVE_QUEUE, SubmissionStatus
from tests.main_service.people import Worker
from tests.main_service.processes import DispatchProcess
from tests.main_service.queues import take_all, wait_until

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

URL = "/api/submissions"
SECONDS_OF_OUTAGE = 8
MOST_SECONDS_OF_A_POST = 4
vhosts = (f"outage-{number}" for number in itertools.count())


@pytest.fixture
def amqp_url(broker_node):
    """An empty vhost on the node that this file mistreats."""
    vhost = next(vhosts)
    broker_node.add_vhosts([vhost])
    return broker_node.url_for(vhost)


@pytest.fixture
def app(make_app, amqp_url):
    return make_app(AMQP_URL=amqp_url, MAX_WAITING_PER_USER=100_000)


@pytest.fixture
def dispatch(settings, main_url, amqp_url, tmp_path):
    environment = settings | {"DATABASE_URL_MAIN": main_url, "AMQP_URL": amqp_url, "APP_ENV": "production"}
    process = DispatchProcess(environment, tmp_path / "dispatch.log")
    wait_until(lambda: process.has_said("dispatch_started"), seconds=30)
    yield process
    assert process.process.poll() is None, "dispatch did not live through the outage"
    assert process.end() == 0


class Crowd:
    """Four students who hand in all the time, each post timed."""

    def __init__(self, app, make_caller):
        self.answers = []
        self._app = app
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._hand_in, args=(make_caller(),)) for _ in range(4)]

    def __enter__(self):
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def _hand_in(self, caller):
        client = self._app.test_client()
        while not self._stop.wait(0.02):
            began = time.monotonic()
            answer = client.post(URL, json={"source": "print()"}, headers=caller.headers)
            self.answers.append((answer.status_code, time.monotonic() - began, bool(answer.json["published_at"])))

    def wait_for(self, count):
        target = len(self.answers) + count
        wait_until(lambda: len(self.answers) >= target, seconds=60)


def stop(node):
    node.stop()
    return node.start


def kill(node):
    node.kill()
    return node.start


def freeze(node):
    node.freeze()
    return node.thaw


def fill_the_disk(node):
    node.ctl("set_disk_free_limit", "100000GB")
    return lambda: node.ctl("set_disk_free_limit", "50MB")


@pytest.mark.parametrize("main_url", ["sqlite"], indirect=True)
@pytest.mark.parametrize("begin_outage", [stop, kill, freeze, fill_the_disk])
def test_every_submission_is_taken_in_and_announced_later(
    app, dispatch, broker_node, amqp_url, make_caller, begin_outage
):
    with Crowd(app, make_caller) as crowd:
        crowd.wait_for(20)
        end_outage = begin_outage(broker_node)
        outage_began = time.monotonic()
        wait_until(lambda: time.monotonic() - outage_began > SECONDS_OF_OUTAGE)
        crowd.wait_for(20)
        end_outage()
        broker_node.wait_ready()
        crowd.wait_for(20)

    assert Counter(status for status, _, _ in crowd.answers) == {202: len(crowd.answers)}
    assert max(seconds for _, seconds, _ in crowd.answers) < MOST_SECONDS_OF_A_POST
    assert not all(published for _, _, published in crowd.answers), "the outage was not noticed at all"

    def all_announced():
        with app.app_context():
            unsent = select(func.count()).where(Submission.published_at.is_(None))
            return db.session.execute(unsent).scalar_one() == 0

    wait_until(all_announced, seconds=60, pause=0.3)
    assert run_all(app, amqp_url) == len(crowd.answers)


def run_all(app, amqp_url):
    """Be a worker for every message; how many submissions reached their one result."""
    worker = Worker(app.test_client())
    results: Counter[int] = Counter()
    for _, message in take_all(amqp_url, INTERACTIVE_QUEUE):
        claim = worker.claim(message["submission_id"], job_key=message["job_key"])
        if claim.status_code == 200:  # Else a second message for the same submission.
            answer = worker.report(message["submission_id"], attempt=claim.json["attempt"])
            assert answer.status_code == 200
            results[message["submission_id"]] += 1
    assert set(results.values()) == {1}
    with app.app_context():
        query = select(func.count()).where(Submission.status == SubmissionStatus.COMPLETED)
        return db.session.execute(query).scalar_one()


def test_dispatch_ends_promptly_while_the_broker_is_frozen(settings, main_url, amqp_url, broker_node, tmp_path):
    environment = settings | {"DATABASE_URL_MAIN": main_url, "AMQP_URL": amqp_url, "APP_ENV": "production"}
    process = DispatchProcess(environment, tmp_path / "dispatch.log")
    wait_until(lambda: process.has_said("dispatch_started"), seconds=30)

    broker_node.freeze()
    began = time.monotonic()
    code = process.end(seconds=15)

    assert code == 0
    assert time.monotonic() - began < 10
    broker_node.thaw()


@pytest.mark.parametrize("main_url", ["postgresql"], indirect=True)
def test_dispatch_and_api_live_through_a_restart_of_the_database(
    app, dispatch, amqp_url, student, postgres_cluster, make_app
):
    """Its server closes every connection; the very next requests and sweeps open new ones."""
    offline = make_app().test_client()  # Its submissions are dispatch's to send.
    before = offline.post(URL, json={"source": "1"}, headers=student.headers)
    wait_until(lambda: take_all(amqp_url, INTERACTIVE_QUEUE), seconds=30)

    with psycopg.connect(postgres_cluster.url("postgres").replace("+psycopg", ""), autocommit=True) as admin:
        mine = "FROM pg_stat_activity WHERE datname = %s"
        name = make_url(app.config["SQLALCHEMY_DATABASE_URI"]).database
        ended = admin.execute(f"SELECT pg_terminate_backend(pid) {mine}", [name]).fetchall()
    after = offline.post(URL, json={"source": "1"}, headers=student.headers)

    assert len(ended) >= 2
    assert (before.status_code, after.status_code) == (202, 202)
    [(_, message)] = wait_until(lambda: take_all(amqp_url, INTERACTIVE_QUEUE), seconds=30)
    assert message["submission_id"] == after.json["id"]
