"""python -m executor_worker: serve the queues until SIGTERM or SIGINT, then finish what is in hand and leave."""

from __future__ import annotations

import logging
import os
import signal
import sys
import threading
from typing import Any

from executor_worker.config import Config
from executor_worker.consumer import GOODBYE_SECONDS, Consumer
from executor_worker.job import JobDoer
from executor_worker.presence import Presence, RunnerWatch
from executor_worker.reporter import Reporter
from executor_worker.runner_client import RunnerClient
from service_kit.health import serve_health
from service_kit.logs import configure_logging
from service_kit.settings import SettingsError

log = logging.getLogger("executor_worker")


def main() -> int:
    """Run the worker; the exit code says whether it left in order."""
    try:
        config = Config.from_env()
    except SettingsError as error:
        sys.stderr.write(f"executor_worker: {error}\n")
        return os.EX_CONFIG
    configure_logging("executor_worker", config.log_level)
    try:
        _serve(config)
    except Exception:
        log.exception("worker_failed")
        return os.EX_SOFTWARE
    return os.EX_OK


def _serve(config: Config) -> None:
    abandon = threading.Event()  # Set when the worker must go at once: every wait and every run ends.
    reporter = Reporter(config.main_service_url, config.service_token, config.worker_id, abandon)
    runner = RunnerClient(config.runner_socket)
    watch = RunnerWatch(runner)
    jobs = JobDoer(reporter, runner, watch, abandon)
    consumer = Consumer(config.amqp_url, config.slots, jobs.do, lambda: watch.is_well, abandon)
    presence = Presence(watch, reporter.announce, config.slots)

    def stop(number: int, frame: Any) -> None:
        consumer.stop()

    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, stop)
    if config.health_bind:
        serve_health(config.health_bind, {"broker": consumer.why_not_ready, "runner": watch.why_not})
    presence.start()
    log.info("worker_started", extra={"worker_id": config.worker_id, "slots": config.slots})
    consumer.run(config.drain_seconds)
    presence.stop()
    _say_goodbye(consumer)


def _say_goodbye(consumer: Consumer) -> None:
    """Leave the broker in order, unless it stands still: then nothing is owed to it any more."""
    leaving = threading.Thread(target=consumer.close, daemon=True)
    leaving.start()
    leaving.join(GOODBYE_SECONDS)
    log.info("worker_left")


if __name__ == "__main__":
    code = main()
    logging.shutdown()
    sys.stdout.flush()
    # Not sys.exit: a thread may still wait for an answer that nobody needs, and Python would wait for the thread.
    os._exit(code)
