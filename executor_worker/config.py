"""Settings of the worker, read once from the environment."""

from __future__ import annotations

import os
import re
import socket
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit

from service_kit.settings import Env

_WORKER_ID = re.compile(r"[A-Za-z0-9._-]{1,128}")  # It is part of a URL.
_HOST_AND_PORT = re.compile(r"[^\s/]+:[0-9]{1,5}")


@dataclass(frozen=True)
class Config:
    amqp_url: str
    main_service_url: str
    service_token: str
    runner_socket: str
    slots: int
    worker_id: str
    health_bind: str  # host:port; empty when nobody asks.
    drain_seconds: int
    log_level: str

    @classmethod
    def from_env(cls, environment: Mapping[str, str] = os.environ) -> Config:
        """Raises SettingsError naming everything that is missing or wrong."""
        env = Env(environment)
        config = cls(
            amqp_url=env.secret("AMQP_URL"),
            main_service_url=env.text("MAIN_SERVICE_URL").rstrip("/"),
            service_token=env.secret("SERVICE_TOKEN", least_characters=16),
            runner_socket=env.text("RUNNER_SOCKET"),
            slots=env.number("EXECUTOR_SLOTS", default=len(os.sched_getaffinity(0)), low=1, high=256),
            worker_id=env.text("WORKER_ID", default=f"{socket.gethostname()}-{os.getpid()}"),
            health_bind=env.text("HEALTH_BIND", default=""),
            drain_seconds=env.number("DRAIN_SECONDS", default=20, low=0, high=3600),
            log_level=env.choice("LOG_LEVEL", ["DEBUG", "INFO", "WARNING", "ERROR"], default="INFO"),
        )
        for fault in config._faults():
            env.fault(fault)
        env.complain()
        return config

    def _faults(self) -> list[str]:
        """What no single value shows. Empty values were complained about already."""
        faults = []
        if self.amqp_url and urlsplit(self.amqp_url).scheme not in {"amqp", "amqps"}:
            faults.append("AMQP_URL must begin with amqp:// or amqps://")
        if self.main_service_url and urlsplit(self.main_service_url).scheme not in {"http", "https"}:
            faults.append("MAIN_SERVICE_URL must begin with http:// or https://")
        if not _WORKER_ID.fullmatch(self.worker_id):
            faults.append("WORKER_ID may hold 1 to 128 letters, digits, dots, hyphens and underscores")
        if self.health_bind and not _HOST_AND_PORT.fullmatch(self.health_bind):
            faults.append("HEALTH_BIND must look like 127.0.0.1:9100")
        if len(os.fsencode(self.runner_socket)) > 107:
            faults.append("RUNNER_SOCKET is longer than the 107 bytes a unix socket's path may have")
        return faults
