import inspect

def f():
    return 1  # one


class C:
    y = 2

print(inspect.getsource(f) + inspect.getsource(C))
