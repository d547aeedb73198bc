def f(a):
    return a['b']


f({})
# KeyError, line 2: 'b'
