"""What one stack is made of: each program's command, its complete environment, and how to see that it is ready.

No program inherits anything: its environment is written out here, so that a secret in the caller's shell
reaches nobody, and the runner (which runs the students' code) has none at all.
"""

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from local_stack import amqp_probe, environments, packages, readiness, secret_files, settings
from local_stack.broker import BrokerNode, BrokerPorts
from local_stack.layout import CHECKOUT, State
from nginx import render as gateway

LOOPBACK = "127.0.0.1"  # The gateway speaks plain HTTP: who opens it to others says so.


@dataclass(frozen=True)
class Ports:
    """Where the parts of one stack listen. Only the gateway is reached from outside."""

    gateway: int
    auth_service: int
    main_service: int
    dispatch: int
    executor_worker: int
    amqp: int
    amqp_distribution: int
    epmd: int


@dataclass(frozen=True)
class Program:
    """One process to keep alive. `problem` answers None once it does its work, else why not yet."""

    name: str
    command: list[str | Path]
    environment: Mapping[str, str]
    problem: Callable[[], str | None]
    folder: Path = CHECKOUT
    stop_signal: str = "TERM"
    stop_seconds: int = 10
    fresh_folders: tuple[Path, ...] = ()  # Emptied at each start.
    needs_databases: bool = True  # Not started before the migrations are through.


@dataclass(frozen=True)
class Stack:
    """One stack's settings with everything decided: nothing here changes while it runs."""

    state: State
    settings: Mapping[str, str]
    ports: Ports
    sockets: Path
    secrets: Mapping[str, Mapping[str, str]] = field(default_factory=dict)  # {"AMQP_URL": {"AMQP_URL_FILE": path}}

    @property
    def url(self) -> str:
        return f"http://localhost:{self.ports.gateway}"

    @property
    def runs_its_broker(self) -> bool:
        return "AMQP_URL" not in self.settings and "AMQP_URL_FILE" not in self.settings

    @property
    def runner_socket(self) -> Path:
        return self.sockets / "runner.sock"

    @property
    def keys(self) -> Path:
        return self.state.secrets / "jwt"

    def own_database_url(self, service: str) -> str:
        """The embedded database of a service, used where no other is given."""
        return f"sqlite:///{self.state.databases / f'{service}.sqlite3'}"

    # Environments -----------------------------------------------------------------------------

    def auth_service_environment(self) -> dict[str, str]:
        return {
            **self._common(),
            "JWT_KEYS_DIR": str(self.keys),
            **settings.chosen(self.settings, settings.AUTH_SERVICE),
            "PROMETHEUS_MULTIPROC_DIR": str(self._metrics("auth_service")),
            **self.secrets["SERVICE_TOKEN"],
            **self.secrets["PASSWORD_PEPPER"],
            **self.secrets["DATABASE_URL_AUTH"],
        }

    def main_service_environment(self) -> dict[str, str]:
        return {
            **self._common(),
            **settings.chosen(self.settings, settings.MAIN_SERVICE),
            "AUTH_SERVICE_URL": f"http://127.0.0.1:{self.ports.auth_service}",
            **self.secrets["SERVICE_TOKEN"],
            **self.secrets["AMQP_URL"],
            **self.secrets["DATABASE_URL_MAIN"],
        }

    def executor_worker_environment(self) -> dict[str, str]:
        return {
            **self._common(),
            **settings.chosen(self.settings, settings.EXECUTOR_WORKER),
            "EXECUTOR_SLOTS": str(self.slots),
            "MAIN_SERVICE_URL": f"http://127.0.0.1:{self.ports.main_service}",
            "RUNNER_SOCKET": str(self.runner_socket),
            "HEALTH_BIND": f"127.0.0.1:{self.ports.executor_worker}",
            **self.secrets["SERVICE_TOKEN"],
            **self.secrets["AMQP_URL"],
        }

    def gateway_environment(self) -> dict[str, str]:
        """For nginx/render.py, which reads names as the container's start does."""
        return {
            **settings.chosen(self.settings, settings.GATEWAY),
            "GATEWAY_LISTEN": f"{self.settings.get('GATEWAY_ADDRESS', LOOPBACK)}:{self.ports.gateway}",
            "AUTH_UPSTREAM": f"127.0.0.1:{self.ports.auth_service}",
            "MAIN_UPSTREAM": f"127.0.0.1:{self.ports.main_service}",
            "SITE_ROOT": str(CHECKOUT / "frontend"),
            "RUN_DIR": str(self.state.gateway),
            "LOG_DIR": gateway.STANDARD_STREAMS,  # supervisor keeps and rotates it like the others'.
        }

    @property
    def slots(self) -> int:
        """How many submissions run at once: the worker takes no more than the runner has room for."""
        return int(self.settings.get("EXECUTOR_SLOTS") or len(os.sched_getaffinity(0)))

    def _common(self) -> dict[str, str]:
        return {"PATH": packages.search_path(), "LANG": "C.UTF-8", "HOME": str(self.state.run), "PYTHONUNBUFFERED": "1"}

    def _metrics(self, service: str) -> Path:
        return self.state.run / "metrics" / service

    # Programs ---------------------------------------------------------------------------------

    def broker_node(self) -> BrokerNode:
        listens = BrokerPorts(self.ports.amqp, self.ports.amqp_distribution, self.ports.epmd)
        password = secret_files.ensure(self.state, "amqp_password")
        return BrokerNode(self.state.broker, password=password, listens=listens)

    def programs(self) -> list[Program]:
        """In the order they are started; they are stopped the other way round, each before the next."""
        broker = self._broker() if self.runs_its_broker else []
        return [*broker, self._auth_service(), self._main_service(), self._dispatch(), self._runner(),
                self._executor_worker(), self._gateway()]  # fmt: skip

    def _broker(self) -> list[Program]:
        node = self.broker_node()
        epmd = Program(
            "epmd",
            [*node.epmd_command()],
            node.environment(),
            problem=lambda: None,
            folder=node.home,
            needs_databases=False,
        )
        rabbitmq = replace(
            epmd,
            name="rabbitmq",
            command=[*node.node_command()],
            problem=lambda: amqp_probe.refusal(node.url),
            stop_seconds=30,
        )
        return [epmd, rabbitmq]

    def _web(self, name: str, port: int, environment: dict[str, str]) -> Program:
        metrics = self._metrics(name)
        return Program(
            name,
            [environments.SERVICES / "bin" / "gunicorn", "-c", CHECKOUT / "service_kit" / "gunicorn_conf.py",
             "--bind", f"127.0.0.1:{port}", f"{name}.app:create_app()"],
            {**environment, "PROMETHEUS_MULTIPROC_DIR": str(metrics)},
            problem=lambda: readiness.web(port, "/readyz"),
            stop_seconds=25,  # gunicorn gives answers under way 20 s.
            fresh_folders=(metrics,),
        )  # fmt: skip

    def _auth_service(self) -> Program:
        return self._web("auth_service", self.ports.auth_service, self.auth_service_environment())

    def _main_service(self) -> Program:
        return self._web("main_service", self.ports.main_service, self.main_service_environment())

    def _dispatch(self) -> Program:
        command: list[str | Path] = [environments.SERVICES / "bin" / "flask", "--app", "main_service.app", "dispatch"]
        health = {"HEALTH_BIND": f"127.0.0.1:{self.ports.dispatch}"}
        return Program(
            "dispatch",
            command,
            self.main_service_environment() | health,
            problem=lambda: readiness.web(self.ports.dispatch, "/readyz"),
        )

    def _runner(self) -> Program:
        """Its environment is empty on purpose: whatever stood in it, a submission could read."""
        command: list[str | Path] = [
            environments.notebook_python(), "-I", CHECKOUT / "executor_worker" / "runner" / "__main__.py",
            "--socket", self.runner_socket, "--slots", str(self.slots),
        ]  # fmt: skip
        return Program(
            "runner", command, {}, problem=lambda: readiness.runner(self.runner_socket), needs_databases=False
        )

    def _executor_worker(self) -> Program:
        drain = int(self.settings.get("DRAIN_SECONDS") or 20)
        return Program(
            "executor_worker",
            [environments.services_python(), "-m", "executor_worker"],
            self.executor_worker_environment(),
            problem=lambda: readiness.web(self.ports.executor_worker, "/readyz"),
            stop_seconds=drain + 10,
        )

    def _gateway(self) -> Program:
        """As the container does: the configuration is written anew at each start."""
        render: list[str | Path] = [environments.services_python(), "-I", CHECKOUT / "nginx" / "render.py"]
        return Program(
            "nginx",
            [*render, "--out", self.state.gateway / "conf", "--start"],
            {"PATH": packages.search_path(), **self.gateway_environment()},
            problem=lambda: readiness.web(self.ports.gateway, "/api/languages"),
            stop_signal="QUIT",  # Answers under way are finished.
            needs_databases=False,
        )
