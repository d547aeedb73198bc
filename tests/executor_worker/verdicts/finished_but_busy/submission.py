import os
import socket

for descriptor in range(3, 64):
    try:
        with socket.socket(fileno=os.dup(descriptor)) as channel:
            socket.send_fds(channel, [b"."], [0, 1, 2])
            print("told the supervisor", flush=True)
    except OSError:
        pass
while True:
    pass
