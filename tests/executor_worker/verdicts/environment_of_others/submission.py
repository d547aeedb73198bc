import json
import os

targets = json.loads(input())
for pid in {*targets["pids"], 1, os.getppid(), "self"} - {os.getpid()}:
    for name in ("environ", "cmdline", "maps", "mem", "root/etc/hostname", "fd", *(["cwd"] if pid != "self" else [])):
        path = f"/proc/{pid}/{name}"
        try:
            found = os.listdir(path) if name in ("cwd", "fd") else open(path, "rb").read(100)
            print("CAME THROUGH", path, found)
        except OSError as error:
            print("kept out of", path, type(error).__name__)
for name, value in os.environ.items():
    if "SECRET" in name or targets["environment_secret"] in value:
        print("CAME THROUGH", name)
