import ctypes
import json
import os
import platform
import signal

TKILL = 200 if platform.machine() == "x86_64" else 130
PIDFD_SEND_SIGNAL, PIDFD_OPEN = 424, 434

libc = ctypes.CDLL(None, use_errno=True)
targets = json.loads(input())
for pid in (*targets["pids"], os.getppid(), -1, 0, 1):
    if pid == os.getpid():  # Being the first of a process namespace, we are 1 ourselves.
        continue
    for number in (0, signal.SIGTERM, signal.SIGKILL):
        attempts = (
            libc.kill(pid, number),
            libc.tgkill(pid, pid, number),
            libc.syscall(TKILL, pid, number),
            libc.syscall(PIDFD_SEND_SIGNAL, libc.syscall(PIDFD_OPEN, pid, 0), number, None, 0),
        )
        if 0 in attempts:
            print("CAME THROUGH", pid, number, attempts)
print("still here")
