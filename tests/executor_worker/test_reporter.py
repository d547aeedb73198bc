"""How the worker waits for main_service, and what it makes of its answers."""

import threading
import time

import pytest

from executor_worker import reporter as reporter_module
from executor_worker.errors import Abandoned, Unanswerable
from executor_worker.reporter import Claim, Reporter
from service_kit.messages import Limits, SubmissionJob
from service_kit.request_id import use_request_id
from tests.executor_worker.waiting import eventually

JOB = SubmissionJob(7, "sub-7-1", "request-7")
RESULT = {"status": "completed"}


@pytest.fixture
def in_background():
    """Call something in a thread of its own; gives a function that waits for what it returned or raised."""

    def start(function, *arguments):
        told = {}

        def call():
            try:
                told["answer"] = function(*arguments)
            except (Abandoned, Unanswerable) as error:
                told["error"] = error

        thread = threading.Thread(target=call, daemon=True)
        thread.start()

        def wait():
            thread.join(20)
            assert not thread.is_alive()
            if "error" in told:
                raise told["error"]
            return told["answer"]

        return wait

    return start


@pytest.fixture
def impatient(monkeypatch):
    monkeypatch.setattr(reporter_module, "TIMEOUTS", (0.3, 0.3))


def claim_of(attempt: int = 1) -> Claim:
    return Claim(7, attempt, "python", "", "", Limits())


def test_a_claim_brings_all_that_is_needed_to_run(reporter, main_service):
    row = main_service.add(7, "print(1)", stdin="2\n")

    claim = reporter.claim(JOB, redelivered=False)

    assert claim == Claim(7, 1, "python", "print(1)", "2\n", Limits(2000, 4000, 65536, 65536))
    assert row.claims == [{"worker_id": "worker-1", "job_key": "sub-7-1", "redelivered": False}]


def test_the_request_id_travels_along(reporter, main_service):
    row = main_service.add(7)

    with use_request_id("request-7"):
        reporter.claim(JOB, redelivered=False)

    assert row.request_ids == {"request-7"}


def test_what_cannot_be_claimed_is_nobodys_job(reporter, main_service):
    main_service.add(7, status="completed")

    assert reporter.claim(JOB, redelivered=False) is None


def test_a_row_not_visible_yet_is_looked_for_three_times(reporter, main_service):
    assert reporter.claim(JOB, redelivered=False) is None
    assert len(main_service.requests) == 3


def test_a_row_that_appears_late_is_claimed(reporter, main_service, in_background):
    claimed = in_background(reporter.claim, JOB, False)
    eventually(lambda: main_service.requests, "asked once")
    main_service.add(7)

    assert claimed().submission_id == 7


def test_a_redelivered_message_says_so(reporter, main_service):
    main_service.add(7, status="running", attempt=1, lease_until=time.monotonic() + 60)

    assert reporter.claim(JOB, redelivered=False) is None
    assert reporter.claim(JOB, redelivered=True).attempt == 2


def test_a_result_is_stored_with_its_attempt(reporter, main_service):
    row = main_service.add(7)
    claim = reporter.claim(JOB, redelivered=False)

    assert reporter.store(claim, RESULT) is True
    assert row.result == {"attempt": 1, "worker_id": "worker-1", "status": "completed"}


def test_a_result_that_comes_too_late_is_dropped(reporter, main_service):
    row = main_service.add(7, status="running", attempt=2)

    assert reporter.store(claim_of(attempt=1), RESULT) is False
    assert row.results == []


@pytest.mark.parametrize("trouble", ["port closed", "503"])
def test_while_main_service_is_away_the_result_waits(reporter, main_service, in_background, caplog, trouble):
    row = main_service.add(7, status="running", attempt=1)
    caplog.set_level("INFO")
    if trouble == "port closed":
        main_service.stop()
    else:
        main_service.away = True

    stored = in_background(reporter.store, claim_of(), RESULT)
    eventually(lambda: "main_service_away" in caplog.messages, "found to be away")
    time.sleep(0.5)  # Long enough for several tries, each of which could log.
    main_service.away = False
    if trouble == "port closed":
        main_service.start()

    assert stored() is True
    assert row.result["status"] == "completed"
    assert caplog.messages.count("main_service_away") == caplog.messages.count("main_service_back") == 1


def test_a_frozen_main_service_is_waited_for(reporter, main_service, in_background, impatient):
    row = main_service.add(7, status="running", attempt=1)
    main_service.freeze()

    stored = in_background(reporter.store, claim_of(), RESULT)
    eventually(lambda: reporter._state._is_away, "found to be away")
    main_service.thaw()

    assert stored() in (True, False)  # False when the try that we gave up on was stored after all.
    assert len(row.results) == 1


def test_a_claim_whose_answer_was_lost_is_not_lost(reporter, main_service, in_background, impatient):
    """The frozen service grants the first claim, to nobody; the repeated one must be granted too, and once."""
    row = main_service.add(7)
    main_service.freeze()

    claimed = in_background(reporter.claim, JOB, False)
    eventually(lambda: reporter._state._is_away, "found to be away")
    time.sleep(1.0)  # Some repetitions, all of which will be answered when it thaws.
    main_service.thaw()

    claim = claimed()
    assert claim is not None
    assert [asked["redelivered"] for asked in row.claims] == [False, True]
    assert claim.attempt == row.attempt == 2  # Of three: a frozen service must not use all of them up.


def test_a_claim_that_was_refused_the_connection_is_a_first_claim(reporter, main_service, in_background):
    row = main_service.add(7)
    main_service.stop()

    claimed = in_background(reporter.claim, JOB, False)
    eventually(lambda: reporter._state._is_away, "found to be away")
    main_service.start()

    assert claimed().attempt == 1
    assert [asked["redelivered"] for asked in row.claims] == [False]


def test_a_wrong_token_waits_for_the_operator(main_service, abandon, in_background):
    main_service.add(7)
    stranger = Reporter(main_service.url, "another-token", "worker-1", abandon)

    claimed = in_background(stranger.claim, JOB, False)
    eventually(lambda: stranger._state._is_away, "refused")
    abandon.set()

    with pytest.raises(Abandoned):
        claimed()


def test_waiting_ends_when_the_worker_must_go(reporter, main_service, in_background, abandon):
    main_service.away = True

    stored = in_background(reporter.store, claim_of(), RESULT)
    eventually(lambda: reporter._state._is_away, "found to be away")
    abandon.set()

    with pytest.raises(Abandoned):
        stored()


@pytest.mark.parametrize("status", [400, 422])
def test_an_answer_that_no_retry_would_change_is_for_the_dead_queue(reporter, main_service, status):
    main_service.add(7, status="running", attempt=1)
    main_service.answer_instead["/result"] = status

    with pytest.raises(Unanswerable):
        reporter.store(claim_of(), RESULT)


def test_a_result_of_a_submission_that_was_deleted_is_dropped(reporter):
    assert reporter.store(claim_of(), RESULT) is False


def test_a_request_that_breaks_main_service_is_given_back_in_the_end(reporter, main_service):
    main_service.add(7)
    main_service.answer_instead["/claim"] = 500

    with pytest.raises(Abandoned):
        reporter.claim(JOB, redelivered=False)


def test_a_claim_that_makes_no_sense_is_for_the_dead_queue(reporter, main_service):
    main_service.add(7)
    main_service.limits = {"cpu_ms": "many"}

    with pytest.raises(Unanswerable):
        reporter.claim(JOB, redelivered=False)


def test_an_announcement_is_heard_or_it_is_not(reporter, main_service):
    assert reporter.announce({"slots": 2}) is True
    assert main_service.workers == {"worker-1": {"slots": 2}}

    main_service.stop()

    assert reporter.announce({"slots": 2}) is False


def test_neither_proxy_nor_netrc_sees_the_token(reporter, main_service, monkeypatch, tmp_path):
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    (tmp_path / "netrc").write_text("machine 127.0.0.1 login somebody password else\n")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))

    assert reporter.announce({"slots": 2}) is True
