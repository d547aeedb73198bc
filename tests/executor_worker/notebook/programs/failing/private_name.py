def f():
    return _missing

f()
# NameError, line 2: name '_missing' is not defined
