def f():
    return f()
f()
# RecursionError, line 2: maximum recursion depth
