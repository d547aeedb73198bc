"""How a job is claimed and its result goes home: the internal HTTP API of main_service.

While main_service is away every call waits for it, with growing pauses, as the message stays
unacknowledged all the while. Only the worker's own end (`abandon`) or an answer that no retry
would change ends the waiting.
"""

from __future__ import annotations

import json
import logging
import random
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

import requests
from urllib3.exceptions import ConnectTimeoutError, MaxRetryError, NewConnectionError

from executor_worker.errors import Abandoned, TooLarge, Unanswerable
from executor_worker.metrics import REACHED
from service_kit.messages import Limits, SubmissionJob
from service_kit.request_id import HEADER, current_request_id

log = logging.getLogger(__name__)

TIMEOUTS = (2.0, 10.0)  # To connect; between two bytes of the answer.
NOT_VISIBLE_YET = (0.2, 0.2)  # Pauses between the three looks for a row that its writer may not have committed.
MOST_SERVER_ERRORS = 5  # A request that crashes main_service each time must not hold a slot for ever.

# Away, or started with another token than ours: an operator mends it, the job can wait.
AWAY = {401, 403, 408, 429, 502, 503, 504}


@dataclass(frozen=True)
class Claim:
    """What main_service gives to the worker that may run this submission now."""

    submission_id: int
    attempt: int
    language: str
    source: str
    stdin: str
    limits: Limits


class Reporter:
    """Speaks to main_service for this worker. Safe to use from all pool threads at once."""

    def __init__(self, base_url: str, service_token: str, worker_id: str, abandon: threading.Event) -> None:
        self._base_url = base_url
        self._service_token = service_token
        self._worker_id = worker_id
        self._abandon = abandon
        self._sessions = threading.local()  # requests does not promise that threads may share a session.
        self._state = _Reachability()

    def claim(self, job: SubmissionJob, redelivered: bool) -> Claim | None:
        """The right to run this submission, or None when it is gone, final, or another worker's."""
        path = f"/internal/submissions/{job.submission_id}/claim"
        ask = _Claiming(self, path, {"worker_id": self._worker_id, "job_key": job.job_key, "redelivered": redelivered})
        answer = self._until_answered(ask)
        for pause in NOT_VISIBLE_YET:
            if answer.status_code != HTTPStatus.NOT_FOUND:
                break
            self._wait(pause)
            answer = self._until_answered(ask)
        if answer.status_code in (HTTPStatus.NOT_FOUND, HTTPStatus.CONFLICT):
            log.info("claim_refused", extra={"submission_id": job.submission_id, "status": answer.status_code})
            return None
        _must_be_success(answer)
        return _read_claim(answer)

    def store(self, claim: Claim, result: dict[str, Any]) -> bool:
        """Bring the result home. False when nobody waits for it any more: another attempt has taken over.

        Raises TooLarge when main_service does not take as much.
        """
        body = {"attempt": claim.attempt, "worker_id": self._worker_id, **result}
        path = f"/internal/submissions/{claim.submission_id}/result"
        # A repeated PATCH does no harm: the second one meets a final row and gets 409.
        answer = self._until_answered(lambda: self.send("PATCH", path, body))
        if answer.status_code in (HTTPStatus.NOT_FOUND, HTTPStatus.CONFLICT):
            return False
        if answer.status_code == HTTPStatus.REQUEST_ENTITY_TOO_LARGE:
            raise TooLarge("the result is larger than main_service takes")
        _must_be_success(answer)
        return True

    def announce(self, description: dict[str, Any]) -> bool:
        """Tell main_service once what this worker can run; True when it heard."""
        try:
            answer = self.send("PUT", f"/internal/workers/{self._worker_id}", description)
        except requests.RequestException as error:
            self._state.away(type(error).__name__)
            return False
        if answer.ok:
            self._state.back()
        else:
            self._state.away(f"HTTP {answer.status_code}")
        return answer.ok

    def send(self, method: str, path: str, body: dict[str, Any] | None = None) -> requests.Response:
        """One request, one try. Raises requests.RequestException."""
        headers = {"Content-Type": "application/json"} if body is not None else {}
        if current_request_id():
            headers[HEADER] = current_request_id()
        # Not json=…: it would send six bytes for each letter that is not Latin.
        raw = None if body is None else json.dumps(body, ensure_ascii=False, allow_nan=False).encode()
        return self._session.request(
            method, self._base_url + path, data=raw, headers=headers, timeout=TIMEOUTS, allow_redirects=False
        )

    @property
    def _session(self) -> requests.Session:
        if not hasattr(self._sessions, "session"):
            session = requests.Session()
            session.trust_env = False  # A .netrc would replace our token, a proxy would read it.
            session.headers["Authorization"] = f"Bearer {self._service_token}"
            self._sessions.session = session
        session = self._sessions.session
        assert isinstance(session, requests.Session)
        return session

    def _until_answered(self, ask: Callable[[], requests.Response]) -> requests.Response:
        """The first answer that says something about the request. Raises Abandoned when the worker goes first."""
        server_errors = 0
        for pause in _pauses():
            try:
                answer = ask()
            except requests.RequestException as error:
                self._state.away(type(error).__name__)
            else:
                if answer.status_code == HTTPStatus.INTERNAL_SERVER_ERROR:
                    server_errors += 1
                    if server_errors == MOST_SERVER_ERRORS:
                        raise Abandoned("main_service fails on this request again and again")
                elif answer.status_code not in AWAY:
                    self._state.back()
                    return answer
                self._state.away(f"HTTP {answer.status_code}")
            self._wait(pause)
        raise AssertionError("the pauses never end")

    def _wait(self, seconds: float) -> None:
        if self._abandon.wait(seconds):
            raise Abandoned("the worker is going")


class _Claiming:
    """The claim request, safe to repeat although a claim is not.

    A claim whose answer was lost may have been granted, to nobody. Asking again must then say
    `redelivered`, or the answer is 409 until the lease runs out. And a main_service that stands still
    answers all the requests it has piled up once it moves again, so that ten repeated claims would be ten
    attempts: before a repetition we ask whether anybody is there.
    """

    def __init__(self, reporter: Reporter, path: str, body: dict[str, Any]) -> None:
        self._reporter = reporter
        self._path = path
        self._body = body
        self._may_have_been_granted = False

    def __call__(self) -> requests.Response:
        if self._may_have_been_granted:
            self._reporter.send("GET", "/livez")
            self._body["redelivered"] = True
        try:
            answer = self._reporter.send("POST", self._path, self._body)
        except requests.RequestException as error:
            self._may_have_been_granted |= not _never_arrived(error)
            raise
        # 503 is main_service's own word for "not now"; the others may come from something in between.
        self._may_have_been_granted |= answer.status_code in {500, 502, 504}
        return answer


class _Reachability:
    """Whether main_service can be reached; one log line for each change, however many threads find it out."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._is_away = False
        REACHED.labels("main_service").set(1)

    def away(self, reason: str) -> None:
        self._change(True, reason)

    def back(self) -> None:
        if self._is_away:
            self._change(False)

    def _change(self, is_away: bool, reason: str | None = None) -> None:
        with self._lock:
            if self._is_away == is_away:
                return
            self._is_away = is_away
        REACHED.labels("main_service").set(not is_away)
        if is_away:
            log.warning("main_service_away", extra={"reason": reason})
        else:
            log.info("main_service_back")


def _pauses(first: float = 0.1, longest: float = 5.0) -> Iterator[float]:
    """Growing, then steady; never the same for two workers, which would all come back in one instant."""
    pause = first
    while True:
        yield pause * random.uniform(0.5, 1.0)  # noqa: S311  # Not a secret.
        pause = min(longest, pause * 2)


def _never_arrived(error: requests.RequestException) -> bool:
    """Whether the request certainly did not reach anybody: there was no connection to send it on."""
    cause = error.args[0] if error.args else None
    reason = cause.reason if isinstance(cause, MaxRetryError) else cause
    return isinstance(reason, (NewConnectionError, ConnectTimeoutError))


def _must_be_success(answer: requests.Response) -> None:
    if not answer.ok:
        raise Unanswerable(f"main_service answered {answer.status_code} to {answer.request.method}")


def _read_claim(answer: requests.Response) -> Claim:
    try:
        body = answer.json()
        limits = body["limits"]
        return Claim(
            submission_id=body["submission_id"],
            attempt=body["attempt"],
            language=body["language"],
            source=body["source"],
            stdin=body["stdin"] or "",
            limits=Limits(**{key: int(limits[key]) for key in ("cpu_ms", "wall_ms", "memory_kib", "output_bytes")}),
        )
    except (ValueError, KeyError, TypeError) as error:
        raise Unanswerable(f"the claim cannot be read: {type(error).__name__}") from error
