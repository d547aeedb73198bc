def add(a, b):
    return a - b

assert add(1, 2) == 3
# AssertionError, line 4: assert add(1, 2) == 3
