"""supervisor keeps the programs alive; this file writes its configuration and talks to it.

Its control socket is the one truth about whether a stack is up. Should supervisord itself be killed, its
programs live on without a keeper: they still belong to its session, and are found and ended by that.
"""

import contextlib
import http.client
import os
import shlex
import signal
import socket
import subprocess
import time
import xmlrpc.client
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from local_stack import environments, processes
from local_stack.layout import State
from local_stack.programs import Program

FAULT_NOT_RUNNING = 70  # supervisor.xmlrpc.Faults
LOG_BYTES, LOG_FILES = "10MB", 3

HEAD = """\
[unix_http_server]
file = {sockets}/supervisor.sock
chmod = 0700

[supervisord]
logfile = %(here)s/../log/supervisor.log
logfile_maxbytes = {log_bytes}
logfile_backups = {log_files}
pidfile = %(here)s/supervisord.pid
nodaemon = true
silent = true
umask = 077
{user_line}

[rpcinterface:supervisor]
supervisor.rpcinterface_factory = supervisor.rpcinterface:make_main_rpcinterface

[supervisorctl]
serverurl = unix://{sockets}/supervisor.sock
"""

# What a program is told stands in its script: supervisor's own quoting cannot carry every value.
# A program is never given up: each try waits a second longer than the one before.
PROGRAM = """
[program:{name}]
command = "%(here)s/bin/{name}"
priority = {priority}
autostart = {autostart}
autorestart = true
startsecs = 1
startretries = 100000
stopsignal = {stop_signal}
stopwaitsecs = {stop_seconds}
stopasgroup = true
killasgroup = true
redirect_stderr = true
stdout_logfile = %(here)s/../log/{name}.log
stdout_logfile_maxbytes = {log_bytes}
stdout_logfile_backups = {log_files}
"""

# A master that is killed leaves its workers behind, and they hold its port: the next one could not start.
# They are those of its process group, which supervisor gave it, in the session that we share.
END_FORMER_LIFE = """\
former=$(cat "$0.group" 2>/dev/null)
read -r line </proc/$$/stat
set -- ${line##*) }
session=$4
for stat in /proc/[0-9]*/stat; do
    { read -r line <"$stat"; } 2>/dev/null || continue
    set -- ${line##*) }
    if [ "$3" = "$former" ] && [ "$4" = "$session" ]; then
        pid=${stat#/proc/}
        kill -KILL "${pid%/stat}"
    fi
done
echo $$ >"$0.group"
"""


def configuration(programs: Iterable[Program], sockets: Path) -> str:
    """supervisord.conf. The programs that need the databases wait to be told."""
    user_line = "user = root" if os.geteuid() == 0 else "; As whoever starts it."
    text = HEAD.format(sockets=sockets, user_line=user_line, log_bytes=LOG_BYTES, log_files=LOG_FILES)
    for priority, program in enumerate(programs, start=1):
        text += PROGRAM.format(
            name=program.name,
            priority=priority,
            autostart="false" if program.needs_databases else "true",
            stop_signal=program.stop_signal,
            stop_seconds=program.stop_seconds,
            log_bytes=LOG_BYTES,
            log_files=LOG_FILES,
        )
    return text


def script(program: Program) -> str:
    """A shell script that becomes the program, with exactly the environment written in it."""
    lines = ["#!/bin/sh", END_FORMER_LIFE, f"cd {shlex.quote(str(program.folder))} || exit 78"]
    for folder in program.fresh_folders:
        quoted = shlex.quote(str(folder))
        lines.append(f"rm -rf {quoted} && mkdir -p {quoted} || exit 78")
    environment = [f"{name}={value}" for name, value in sorted(program.environment.items())]
    words = ["/usr/bin/env", "-i", *environment, *map(str, program.command)]
    lines.append("exec " + " \\\n    ".join(map(shlex.quote, words)))
    return "\n".join(lines) + "\n"


def write_configuration(state: State, programs: list[Program], sockets: Path) -> None:
    scripts = state.run / "bin"
    scripts.mkdir(mode=0o700, exist_ok=True)
    for program in programs:
        path = scripts / program.name
        path.touch(mode=0o700)
        path.write_text(script(program))
    (state.run / "supervisord.conf").write_text(configuration(programs, sockets))


# Talking to it ------------------------------------------------------------------------------------


class NotRunning(Exception):
    """There is no supervisor behind this stack's socket."""


@dataclass(frozen=True)
class ProcessState:
    """One program as supervisor sees it: `word` is one of STOPPED STARTING RUNNING BACKOFF STOPPING EXITED FATAL."""

    name: str
    word: str
    pid: int
    exit_code: int
    started_at: int
    seconds_up: int
    description: str


class _UnixConnection(http.client.HTTPConnection):
    def __init__(self, path: Path, timeout: float) -> None:
        super().__init__("localhost", timeout=timeout)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        try:
            self.sock.connect(str(self._path))
        except OSError:
            self.close()
            raise


class _UnixTransport(xmlrpc.client.Transport):
    def __init__(self, path: Path, timeout: float) -> None:
        super().__init__()
        self._path = path
        self._timeout = timeout

    def make_connection(self, host: Any) -> http.client.HTTPConnection:
        connection = _UnixConnection(self._path, self._timeout)
        self._connection = (host, connection)  # What close() closes.
        return connection


class Supervisor:
    """The supervisor of one stack, reached over its socket."""

    def __init__(self, sockets: Path) -> None:
        self._socket = sockets / "supervisor.sock"

    def _call(self, method: str, *arguments: Any, timeout: float = 60) -> Any:
        transport = _UnixTransport(self._socket, timeout)
        try:
            with xmlrpc.client.ServerProxy("http://localhost/RPC2", transport=transport) as proxy:
                return getattr(proxy.supervisor, method)(*arguments)
        except (OSError, http.client.HTTPException) as problem:
            raise NotRunning(str(problem)) from problem

    @property
    def answers(self) -> bool:
        """Whether it keeps a stack: not once it has begun to shut down."""
        try:
            self._call("getState", timeout=5)
        except (NotRunning, xmlrpc.client.Error):
            return False
        return True

    @property
    def is_gone(self) -> bool:
        try:
            self._call("getState", timeout=5)
        except NotRunning:
            return True
        except xmlrpc.client.Fault:
            pass  # It is shutting down, and says so.
        return False

    def states(self) -> list[ProcessState]:
        """Every program, in the order of start. Raises NotRunning."""
        return [
            ProcessState(
                name=each["name"],
                word=each["statename"],
                pid=each["pid"],
                exit_code=each["exitstatus"],
                started_at=each["start"],
                seconds_up=each["now"] - each["start"] if each["pid"] else 0,
                description=each["description"],
            )
            for each in self._call("getAllProcessInfo")
        ]

    def start(self, name: str) -> None:
        """Returns at once; `states()` tells how it went."""
        self._call("startProcess", name, False)

    def restart(self, name: str) -> None:
        """Stop it, when it runs, and start it; returns when it has stayed up for a second. Raises when it does not."""
        try:
            self._call("stopProcess", name, True, timeout=90)
        except xmlrpc.client.Fault as fault:
            if fault.faultCode != FAULT_NOT_RUNNING:
                raise
        self._call("startProcess", name, True)

    def shutdown(self) -> None:
        """Begin to stop every program in reverse order, and then supervisord itself."""
        with contextlib.suppress(xmlrpc.client.Fault):  # It is shutting down already.
            self._call("shutdown")


def launch(state: State) -> "subprocess.Popen[bytes]":
    """Start supervisord in a session of its own, so that a Ctrl-C in our terminal does not reach it."""
    with open(state.logs / "supervisord.out", "ab") as output:
        return subprocess.Popen(
            [environments.services_python(), "-m", "supervisor.supervisord", "-c", state.run / "supervisord.conf"],
            cwd=state.run,
            env={"PATH": "/usr/bin:/bin", "LANG": "C.UTF-8"},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )


# The end ------------------------------------------------------------------------------------------


def end(supervisor: Supervisor, keeper: processes.Identity | None, seconds: float = 90) -> bool:
    """Everything of this stack is gone when this returns. Whether there was anything to end."""
    there_was = not supervisor.is_gone
    if there_was:
        supervisor.shutdown()
        deadline = time.monotonic() + seconds
        while not supervisor.is_gone and time.monotonic() < deadline:
            time.sleep(0.1)
    if keeper is not None:
        there_was = _end_session(keeper) or there_was
    return there_was


def _end_session(keeper: processes.Identity) -> bool:
    """End what lives on in supervisord's session: politely, then not."""
    there_was = False
    for number, patience in ((signal.SIGTERM, 15.0), (signal.SIGKILL, 5.0)):
        deadline = time.monotonic() + patience
        told: set[int] = set()
        while alive := processes.of_session(keeper):
            there_was = True
            for pid in alive - told:
                processes.signal_process(pid, number)
            told |= alive
            if time.monotonic() > deadline:
                break
            time.sleep(0.05)
        else:
            return there_was
    return there_was
