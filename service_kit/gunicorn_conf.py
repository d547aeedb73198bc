"""gunicorn settings of both Flask services: `gunicorn -c service_kit/gunicorn_conf.py … 'service.app:create_app()'`."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

worker_class = "gthread"
workers = int(os.environ.get("WEB_WORKERS", "2"))
threads = int(os.environ.get("WEB_THREADS", "8"))
# The app is loaded once and shared by fork: it opens no connection before its first request.
preload_app = True
_shared_memory = Path("/dev/shm")  # noqa: S108  # gunicorn makes its heartbeat file there safely, by mkstemp.
worker_tmp_dir = str(_shared_memory) if os.access(_shared_memory, os.W_OK) else None
timeout = 30
graceful_timeout = 20
keepalive = 75  # Longer than nginx keeps its idle connections, so that nginx is always the one to close.
max_requests = 20_000
max_requests_jitter = 2_000
control_socket_disable = True  # Its default lies in the home directory and collides between services.
accesslog = None  # The app frame logs each answer with its route, user and request id.


def post_fork(server: Any, worker: Any) -> None:
    """Give the worker connections of its own, should the app have opened any while loading."""
    from service_kit.app_frame import forget_connections

    forget_connections(server.app.wsgi())


def child_exit(server: Any, worker: Any) -> None:
    """Drop a dead worker's live gauges from the shared metrics directory."""
    if os.environ.get("PROMETHEUS_MULTIPROC_DIR"):
        from prometheus_client import multiprocess

        multiprocess.mark_process_dead(worker.pid)  # type: ignore[no-untyped-call]
