"""Why a job did not come to its result. Each has one answer to the broker: see consumer.py."""

from __future__ import annotations


class Abandoned(Exception):
    """The worker must go before the job is done; the message returns to the queue and another worker runs it."""


class Unanswerable(Exception):
    """main_service answered something that no retry would change; the message is for the dead-letter queue."""


class TooLarge(Unanswerable):
    """main_service does not take as much; something smaller might do."""


class RunnerAway(Exception):
    """Nobody answers at the runner's socket, or not in its language. Never the student's fault."""
