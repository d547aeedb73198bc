import mmap

held = []
while True:
    held.append(mmap.mmap(-1, 16 << 20))
    for page in range(0, 16 << 20, 4096):
        held[-1][page] = 1
