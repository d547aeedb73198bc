_a = 1
__b = 2

def _f():
    return _a + __b

print(_f(), _f.__name__)
