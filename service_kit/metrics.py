"""Prometheus metrics of one process, or of all gunicorn workers together when they share a directory."""

from __future__ import annotations

import os

from prometheus_client import CONTENT_TYPE_LATEST, REGISTRY, CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector

METRICS_CONTENT_TYPE = CONTENT_TYPE_LATEST

HTTP_REQUESTS = Counter("labs_http_requests", "Requests answered.", ["service", "method", "route", "status"])
HTTP_SECONDS = Histogram(
    "labs_http_request_seconds",
    "Time to answer a request.",
    ["service", "route"],
    buckets=(0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5),
)


def metrics_body() -> bytes:
    """The text a Prometheus server scrapes. With PROMETHEUS_MULTIPROC_DIR set, every worker's figures summed."""
    if os.environ.get("PROMETHEUS_MULTIPROC_DIR"):  # prometheus_client itself reads this name at import.
        registry = CollectorRegistry()
        MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
        return generate_latest(registry)
    return generate_latest(REGISTRY)
