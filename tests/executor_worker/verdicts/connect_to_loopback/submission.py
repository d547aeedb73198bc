import ctypes
import json
import socket
import struct

targets = json.loads(input())


def by_python(family, address):
    with socket.socket(family, socket.SOCK_STREAM) as connection:
        connection.settimeout(1)
        connection.connect(address)


def datagram(address):
    ours, _ = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
    ours.sendto(b"hello", address)


def below_python():
    libc = ctypes.CDLL(None, use_errno=True)
    descriptor = libc.socket(socket.AF_INET, socket.SOCK_STREAM, 0)
    if descriptor < 0:
        raise OSError(ctypes.get_errno(), "socket")
    address = struct.pack("<HHI8x", socket.AF_INET, socket.htons(targets["port"]), 0x0100007F)
    if libc.connect(descriptor, address, len(address)) != 0:
        raise OSError(ctypes.get_errno(), "connect")


for attempt in (
    lambda: by_python(socket.AF_INET, ("127.0.0.1", targets["port"])),
    lambda: by_python(socket.AF_INET6, ("::1", targets["port"])),
    lambda: by_python(socket.AF_UNIX, targets["runner_socket"]),
    lambda: by_python(socket.AF_UNIX, targets["named_socket"]),
    lambda: by_python(socket.AF_UNIX, "\0" + targets["abstract_socket"]),
    lambda: datagram(targets["named_datagrams"]),
    below_python,
):
    try:
        attempt()
        print("CAME THROUGH")
    except OSError as error:
        print("kept in", type(error).__name__)
