import threading
import time

started = 0
try:
    for _ in range(100_000):
        threading.Thread(target=time.sleep, args=(60,), daemon=True).start()
        started += 1
except (RuntimeError, MemoryError):
    print("kept in" if started < 1000 else "CAME THROUGH", flush=True)
