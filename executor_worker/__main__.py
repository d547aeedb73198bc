"""python -m executor_worker: serve the queues until SIGTERM or SIGINT, then finish what is in hand and leave."""

from __future__ import annotations

import logging
import os
import signal
import sys
import threading
from typing import NoReturn

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

ENDING_SIGNALS = {signal.SIGTERM, signal.SIGINT}


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
    # Blocked in every thread, so that the one that waits for them gets them: a handler would run in
    # the middle of whatever the main thread does, and could wait there for a lock that it holds itself.
    signal.pthread_sigmask(signal.SIG_BLOCK, ENDING_SIGNALS)
    abandon = threading.Event()  # Set when the worker must go at once: every wait and every run ends.
    reporter = Reporter(config.main_service_url, config.service_token, config.worker_id, abandon)
    runner = RunnerClient(config.runner_socket)
    watch = RunnerWatch(runner)
    jobs = JobDoer(reporter, runner, watch, abandon)
    consumer = Consumer(config.amqp_url, config.slots, jobs.do, lambda: watch.is_well, abandon)
    presence = Presence(watch, reporter.announce, config.slots)

    threading.Thread(target=_await_the_end, args=(consumer, abandon, config), name="signals", daemon=True).start()
    if config.health_bind:
        serve_health(config.health_bind, {"broker": consumer.why_not_ready, "runner": watch.why_not})
    presence.start()
    log.info("worker_started", extra={"worker_id": config.worker_id, "slots": config.slots})
    consumer.run(config.drain_seconds)
    presence.stop()
    consumer.close()
    log.info("worker_left")


def _await_the_end(consumer: Consumer, abandon: threading.Event, config: Config) -> None:
    """On the first signal stop in order, on a second one at once; and do not let a frozen broker hold us for ever."""
    signal.sigwait(ENDING_SIGNALS)
    consumer.stop()
    if signal.sigtimedwait(ENDING_SIGNALS, config.drain_seconds + GOODBYE_SECONDS) is not None:
        abandon.set()
    signal.sigtimedwait(ENDING_SIGNALS, GOODBYE_SECONDS)
    log.warning("left_without_goodbye")  # Nothing is lost: what is unanswered, the broker gives out again.
    _exit(os.EX_OK)


def _exit(code: int) -> NoReturn:
    """Not sys.exit: a thread may still wait for an answer that nobody needs, and Python would wait for the thread."""
    logging.shutdown()
    sys.stdout.flush()
    os._exit(code)


if __name__ == "__main__":
    _exit(main())
