"""One JSON line per event on standard error, in the fields the services use. Standard library only."""

from __future__ import annotations

import json
import sys
from datetime import UTC, datetime
from typing import Any


def event(name: str, level: str = "INFO", **fields: Any) -> None:
    line = {
        "ts": datetime.now(UTC).isoformat(timespec="milliseconds"),
        "level": level,
        "logger": "executor_worker.runner",
        "message": name,
        "service": "runner",
        **fields,
    }
    sys.stderr.write(json.dumps(line, default=str) + "\n")
    sys.stderr.flush()
