x = 1
print('x' in globals(), 'x' in vars())
