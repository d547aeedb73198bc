import json
import os

targets = json.loads(input())
for path in (targets["secret"], targets["project"], "/etc/shadow", "/etc/hostname", "/root", "/home", targets["secret"] + "/.."):
    try:
        found = os.listdir(path) if os.path.isdir(path) else open(path).read()
        print("CAME THROUGH", path, found)
    except OSError as error:
        print("kept out of", path, type(error).__name__)
