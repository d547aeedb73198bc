"""One JSON line per event on standard output: a constant message, data in fields, ids not objects."""

from __future__ import annotations

import logging
import sys

from pythonjsonlogger.json import JsonFormatter

from service_kit.request_id import current_request_id


class _ServiceFields(logging.Filter):
    def __init__(self, service: str) -> None:
        super().__init__()
        self._service = service

    def filter(self, record: logging.LogRecord) -> bool:
        record.service = self._service
        if not hasattr(record, "request_id"):
            record.request_id = current_request_id()
        return True


def configure_logging(service: str, level: str = "INFO") -> None:
    """Send every logger's records to standard output as JSON lines. Safe to call twice."""
    handler = logging.StreamHandler(sys.stdout)
    handler.addFilter(_ServiceFields(service))
    handler.setFormatter(
        JsonFormatter(
            "{asctime}{levelname}{name}{message}{service}{request_id}",
            style="{",
            datefmt="%Y-%m-%dT%H:%M:%S%z",
            rename_fields={"asctime": "ts", "levelname": "level", "name": "logger"},
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level.upper())
    logging.getLogger("pika").setLevel(logging.WARNING)  # pika narrates every connection at INFO.
