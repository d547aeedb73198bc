raise MemoryError
# MemoryError, line 1: out of memory
