import errno
import os

block = bytes(1 << 20)
written = files = 0
try:
    for number in range(200):
        with open(f"file-{number}", "wb", buffering=0) as file:
            try:
                while True:
                    written += file.write(block)
            except OSError as error:
                if error.errno != errno.EFBIG:
                    raise
except OSError as error:
    print("kept in", os.strerror(error.errno), written >> 20)
try:
    for number in range(100_000):
        open(f"empty-{number}", "wb").close()
        files += 1
    print("CAME THROUGH", files)
except OSError as error:
    print("kept in", os.strerror(error.errno), files)
