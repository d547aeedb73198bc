import ctypes
print('py')
libc = ctypes.CDLL(None)
libc.puts(b'from C')
libc.fflush(None)
print('py again')
