import ctypes
import os

libc = ctypes.CDLL(None)
started = 0
for _ in range(200):
    for start in (os.fork, libc.fork, libc.vfork):
        try:
            pid = start()
        except OSError:
            continue
        if pid == 0:
            libc.sleep(60)
            os._exit(0)
        if pid > 0:
            started += 1
print("CAME THROUGH" if started else "kept in", started)
