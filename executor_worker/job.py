"""One job, one result: claim it, have it run, judge it, bring the result home.

Neither the queue (consumer.py) nor HTTP (reporter.py) is known here. When `do` returns, the message
has done its work; every exception says what is to become of it instead (errors.py).
"""

from __future__ import annotations

import logging
import threading
from typing import Any

from executor_worker.errors import Abandoned, RunnerAway, TooLarge, Unanswerable
from executor_worker.languages import LANGUAGES
from executor_worker.metrics import PHASE_SECONDS, RUNS
from executor_worker.outcome import Outcome
from executor_worker.presence import RunnerWatch
from executor_worker.reporter import Claim, Reporter
from executor_worker.result import lighter_and_lighter, result_of
from executor_worker.runner_client import RunnerClient
from executor_worker.verdict import judge
from service_kit.messages import SubmissionJob
from service_kit.request_id import use_request_id

log = logging.getLogger(__name__)

BREATH_SECONDS = 1.0  # Between our failure and the next job: what fails at once would burn through the queue.


class JobDoer:
    """Does one job at a time in each thread that calls it."""

    def __init__(self, reporter: Reporter, runner: RunnerClient, watch: RunnerWatch, abandon: threading.Event) -> None:
        self._reporter = reporter
        self._runner = runner
        self._watch = watch
        self._abandon = abandon

    def do(self, job: SubmissionJob, redelivered: bool) -> None:
        """From the wake-up to the stored result. Raises Abandoned or Unanswerable."""
        with use_request_id(job.request_id):
            with PHASE_SECONDS.labels("claim").time():
                claim = self._reporter.claim(job, redelivered)
            if claim is None:
                return  # Gone, final, or another worker's: nothing is owed to this message.
            with PHASE_SECONDS.labels("run").time():
                outcome = self._run(claim)
            self._report(claim, result_of(outcome, judge(outcome, claim.limits), claim.limits))

    def _store(self, claim: Claim, result: dict[str, Any]) -> bool:
        for lighter in lighter_and_lighter(result):
            try:
                return self._reporter.store(claim, lighter)
            except TooLarge:
                log.warning("result_too_large", extra={"submission_id": claim.submission_id})
        raise Unanswerable("main_service takes no result of this run, however small")

    def _run(self, claim: Claim) -> Outcome:
        if claim.language not in LANGUAGES:
            return self._our_failure(claim, f"this worker does not know the language {claim.language!r}")
        filename = LANGUAGES[claim.language].filename(claim.source)
        program = {"source": claim.source, "filename": filename, "stdin": claim.stdin}
        try:
            outcome = self._runner.run(program, claim.limits, self._abandon)
        except RunnerAway as error:
            self._watch.lost(str(error))  # Before the slot is free again: the next job must not meet the same fate.
            return self._our_failure(claim, str(error))
        return outcome if outcome.failure is None else self._our_failure(claim, outcome.failure)

    def _our_failure(self, claim: Claim, reason: str) -> Outcome:
        """The reason is for our log; a student reads only that it was not their program."""
        log.error("run_failed", extra={"submission_id": claim.submission_id, "reason": reason})
        if self._abandon.wait(BREATH_SECONDS):
            raise Abandoned("the worker is going")
        return Outcome(failure=reason)

    def _report(self, claim: Claim, result: dict[str, Any]) -> None:
        with PHASE_SECONDS.labels("report").time():
            was_stored = self._store(claim, result)
        RUNS.labels(result["status"] if was_stored else "too_late").inc()
        log.info(
            "run_reported",
            extra={
                "submission_id": claim.submission_id,
                "attempt": claim.attempt,
                "status": result["status"],
                "was_stored": was_stored,
                "run_time": result["run_time"],
                "wall_time": result["wall_time"],
            },
        )
