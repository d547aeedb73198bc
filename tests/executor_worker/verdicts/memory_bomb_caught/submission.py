held = []
while True:
    try:
        held.append(bytearray(8 << 20))
    except MemoryError:
        pass
