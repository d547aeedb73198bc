"""Figures of the submissions for /metrics."""

from __future__ import annotations

from datetime import UTC, datetime

from prometheus_client import Counter, Gauge, Histogram

from service_kit.messages import SubmissionStatus

FINISHED = Counter("labs_submissions_finished", "Submissions that reached a final status.", ["status"])
SECONDS_TO_RESULT = Histogram(
    "labs_submission_seconds",
    "From taken in to a final status.",
    buckets=(0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 30, 60, 300),
)
UNFINISHED = Gauge(
    "labs_submissions_unfinished", "Submissions on their way, counted by dispatch.", ["state"], multiprocess_mode="max"
)


def count_finished(status: SubmissionStatus, created_at: datetime) -> None:
    FINISHED.labels(status.value).inc()
    SECONDS_TO_RESULT.observe((datetime.now(UTC) - created_at).total_seconds())
