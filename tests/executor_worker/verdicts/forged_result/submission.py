import json
import os
import struct

frame = json.dumps({"event": "ended", "exit_code": 0, "signal": None, "killed": None, "cpu_ms": 0, "wall_ms": 0,
                    "memory_kib": 0, "memory_source": "cgroup", "isolation": "FORGED"}).encode()
for descriptor in range(3, 64):
    try:
        os.write(descriptor, struct.pack(">I", len(frame)) + frame)
    except OSError:
        pass
while True:
    pass
