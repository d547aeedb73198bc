"""A RabbitMQ node of our own, from the distribution's package, without its service.

The package's wrappers in /usr/sbin insist on the system's user and state folder. The scripts they
wrap run as whoever calls them, so a node needs nothing but a folder and three free ports. Each
node has an epmd of its own: a shared one would outlive us and would tie two nodes together.
"""

import contextlib
import os
import secrets
import shutil
import signal
import subprocess
import time
from pathlib import Path
from typing import NamedTuple

from local_stack import amqp_probe, ports

SCRIPTS = Path("/usr/lib/rabbitmq/bin")
APT_PACKAGE = "rabbitmq-server"
USER = VHOST = "labs"
NODE_NAME = "labs@127.0.0.1"  # An address: needs nobody to know what localhost is.

CONFIGURATION = """\
listeners.tcp.default = 127.0.0.1:{amqp}
default_user = {user}
default_pass = {password}
default_vhost = {vhost}
default_user_tags.administrator = false
default_permissions.configure = .*
default_permissions.read = .*
default_permissions.write = .*
heartbeat = 60
consumer_timeout = 1800000
vm_memory_high_watermark.absolute = 1GiB
disk_free_limit.absolute = 200MB
log.console = false
log.file.rotation.size = 5242880
log.file.rotation.count = 3
"""


class BrokerFailed(Exception):
    """The node ended, or did not become ready in time. The text says why, as far as its log tells."""


class BrokerPorts(NamedTuple):
    amqp: int
    distribution: int
    epmd: int


def missing() -> str | None:
    """None when a node can be started here, else the sentence that says what to install."""
    if (SCRIPTS / "rabbitmq-server").exists() and shutil.which("epmd"):
        return None
    return f"RabbitMQ is not installed: apt-get install -y --no-install-recommends {APT_PACKAGE}"


COOKIE_BYTES = 32


class BrokerNode:
    """One private node in one folder.

    Use `prepare()` with `environment()` and the two command lines when somebody else (supervisor) keeps the
    processes, or `start()` and `stop()` when this object shall. Data stay in the folder between starts.
    """

    def __init__(self, home: Path, *, password: str | None = None, listens: BrokerPorts | None = None) -> None:
        self.home = home.absolute()
        self.password = password or secrets.token_urlsafe(24)
        self.ports = listens or BrokerPorts(*ports.choose(3))
        self._node: subprocess.Popen[bytes] | None = None
        self._epmd: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return self.url_for(VHOST)

    def url_for(self, vhost: str) -> str:
        return f"amqp://{USER}:{self.password}@127.0.0.1:{self.ports.amqp}/{vhost}"

    # What to run ------------------------------------------------------------------------------

    def prepare(self) -> None:
        """Write the folder: settings and the Erlang cookie (readable by us alone) and nothing else."""
        self.home.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.home.chmod(0o700)
        settings = CONFIGURATION.format(amqp=self.ports.amqp, user=USER, password=self.password, vhost=VHOST)
        for name, text in {
            "rabbitmq.conf": settings,
            "advanced.config": "[].\n",
            "enabled_plugins": "[].\n",
            "rabbitmq-env.conf": "",  # Ours and empty, else the system's own file would be read.
        }.items():
            with open(self.home / name, "w", opener=lambda path, flags: os.open(path, flags, 0o600)) as file:
                file.write(text)
        self._keep_a_cookie()

    def _keep_a_cookie(self) -> None:
        """Who knows the cookie may run anything as the node, and the one Erlang makes can be guessed from the clock."""
        cookie = self.home / ".erlang.cookie"
        if cookie.exists() and len(cookie.read_text()) == 2 * COOKIE_BYTES:
            return
        cookie.unlink(missing_ok=True)
        with open(cookie, "w", opener=lambda path, flags: os.open(path, flags, 0o400)) as file:
            file.write(secrets.token_hex(COOKIE_BYTES))

    def environment(self) -> dict[str, str]:
        """All that the node, its epmd and rabbitmqctl need. Complete: nothing is taken from the caller's own."""
        home = str(self.home)
        loopback = "-kernel inet_dist_use_interface {127,0,0,1}"
        return {
            "PATH": os.environ.get("PATH", "/usr/bin:/bin"),
            "LANG": "C.UTF-8",
            "HOME": home,  # The Erlang cookie is looked for here.
            "RABBITMQ_CONF_ENV_FILE": f"{home}/rabbitmq-env.conf",
            "RABBITMQ_CONFIG_FILE": f"{home}/rabbitmq",
            "RABBITMQ_ADVANCED_CONFIG_FILE": f"{home}/advanced.config",
            "RABBITMQ_ENABLED_PLUGINS_FILE": f"{home}/enabled_plugins",
            "RABBITMQ_MNESIA_BASE": f"{home}/mnesia",
            "RABBITMQ_LOG_BASE": f"{home}/log",
            "RABBITMQ_PID_FILE": f"{home}/pid",
            "RABBITMQ_NODENAME": NODE_NAME,
            "RABBITMQ_USE_LONGNAME": "true",  # Erlang counts names with dots as long ones.
            "RABBITMQ_NODE_IP_ADDRESS": "127.0.0.1",
            "RABBITMQ_NODE_PORT": str(self.ports.amqp),
            "RABBITMQ_DIST_PORT": str(self.ports.distribution),
            "ERL_EPMD_ADDRESS": "127.0.0.1",
            "ERL_EPMD_PORT": str(self.ports.epmd),
            "ERL_CRASH_DUMP": f"{home}/erl_crash.dump",
            # Schedulers that find no work sleep at once: an idle node must not eat a small machine's cores.
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": f"{loopback} +S 2:2 +sbwt none +sbwtdcpu none +sbwtdio none",
            "RABBITMQ_CTL_ERL_ARGS": loopback,
            # Makes the script become the node itself instead of a shell that waits for it, so that the
            # process we started is the process to signal.
            "RUNNING_UNDER_SYSTEMD": "true",
        }

    def epmd_command(self) -> list[str]:
        return ["epmd", "-port", str(self.ports.epmd), "-address", "127.0.0.1"]

    def node_command(self) -> list[str]:
        """Waits for epmd first: a node that finds none starts a daemon which nobody would ever stop."""
        wait_then_become = 'until epmd -names >/dev/null 2>&1; do sleep 0.1; done; umask 077; exec "$0"'
        return ["/bin/sh", "-c", wait_then_become, str(SCRIPTS / "rabbitmq-server")]

    # Running it ourselves -----------------------------------------------------------------------

    def start(self) -> None:
        """Start the processes; returns at once. `wait_ready()` says when it can be used."""
        if problem := missing():
            raise BrokerFailed(problem)
        self.prepare()
        self._epmd = self._spawn(self.epmd_command(), "epmd.log")
        self._node = self._spawn(self.node_command(), "node.log")

    def _spawn(self, command: list[str], log: str) -> "subprocess.Popen[bytes]":
        with open(self.home / log, "ab") as output:
            return subprocess.Popen(
                command,
                cwd=self.home,
                env=self.environment(),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                umask=0o077,
            )

    def wait_ready(self, seconds: float = 90) -> None:
        """Until the node accepts our password; raises BrokerFailed when it ends before, or never does."""
        deadline = time.monotonic() + seconds
        while (refused := amqp_probe.refusal(self.url)) is not None:
            if self._node is not None and self._node.poll() is not None:
                raise BrokerFailed(f"RabbitMQ ended with code {self._node.returncode}.\n{self.log_tail()}")
            if time.monotonic() > deadline:
                raise BrokerFailed(f"RabbitMQ was not ready after {seconds:.0f} s ({refused}).\n{self.log_tail()}")
            time.sleep(0.1)

    def log_tail(self, lines: int = 15) -> str:
        for name in ("node.log", f"log/{NODE_NAME}.log"):
            with contextlib.suppress(OSError):
                if text := (self.home / name).read_text(errors="replace").strip():
                    return "\n".join(text.splitlines()[-lines:])
        return "It left no log."

    @property
    def is_running(self) -> bool:
        return self._node is not None and self._node.poll() is None

    def stop(self) -> None:
        """Orderly, and epmd with it. Safe to call on a frozen, dead or never started node."""
        self.thaw()
        _end(self._node, seconds=30)
        _end(self._epmd, seconds=5)
        self._node = self._epmd = None

    def kill(self) -> None:
        """As a power cut would: no goodbye. Data that were confirmed are on the disk."""
        if self._node is not None:
            _signal_group(self._node, signal.SIGKILL)
            self._node.wait()
        _end(self._epmd, seconds=5)
        self._node = self._epmd = None

    def freeze(self) -> None:
        """Connections stay open and nobody answers: the worst way for a broker to be down."""
        if self._node is not None:
            _signal_group(self._node, signal.SIGSTOP)

    def thaw(self) -> None:
        if self._node is not None and self._node.poll() is None:
            _signal_group(self._node, signal.SIGCONT)

    def ctl(self, *arguments: str, seconds: int = 60) -> str:
        """What rabbitmqctl prints. A second each: it is an Erlang machine of its own."""
        done = subprocess.run(
            [str(SCRIPTS / "rabbitmqctl"), "-q", "--timeout", str(seconds), *arguments],
            cwd=self.home,
            env=self.environment(),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=seconds + 15,
            check=False,
        )
        if done.returncode != 0:
            raise BrokerFailed(f"rabbitmqctl {' '.join(arguments)}: {done.stderr.strip() or done.stdout.strip()}")
        return done.stdout

    def add_vhosts(self, names: list[str]) -> None:
        """Several empty worlds on one node, open to our user. One call, because each call costs a second."""
        listed = ",".join(f'<<"{name}">>' for name in names)
        self.ctl(
            "eval",
            f'[begin rabbit_vhost:add(V, <<"labs">>), '
            f'rabbit_auth_backend_internal:set_permissions(<<"{USER}">>, V, <<".*">>, <<".*">>, <<".*">>, '
            f'<<"labs">>) end || V <- [{listed}]].',
        )


def _signal_group(process: "subprocess.Popen[bytes]", number: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, number)  # Its own session, so the group is exactly what it started.


def _end(process: "subprocess.Popen[bytes] | None", seconds: float) -> None:
    if process is None:
        return
    if process.poll() is None:
        _signal_group(process, signal.SIGTERM)
        try:
            process.wait(seconds)
        except subprocess.TimeoutExpired:
            pass
    _signal_group(process, signal.SIGKILL)  # Also what it left behind in its group.
    process.wait()
