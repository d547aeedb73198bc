import atexit
atexit.register(print, 'bye')
print('hello')
