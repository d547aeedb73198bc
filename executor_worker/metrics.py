"""What an operator may watch of a worker."""

from __future__ import annotations

from prometheus_client import Counter, Gauge, Histogram

RUNS = Counter("labs_worker_runs", "Runs reported, by the status they earned.", ["status"])
PHASE_SECONDS = Histogram(
    "labs_worker_phase_seconds",
    "Time a job spent in each phase: claim, run, report.",
    ["phase"],
    buckets=(0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 20),
)
MESSAGES = Counter("labs_worker_messages", "Messages answered: ack, requeue or reject.", ["answer"])
SLOTS_BUSY = Gauge("labs_worker_slots_busy", "Runs under way in this worker.")
REACHED = Gauge("labs_worker_reached", "1 while the broker, the runner, main_service can be reached.", ["peer"])
RECONNECTS = Counter("labs_worker_reconnects", "Times the broker was lost.")
