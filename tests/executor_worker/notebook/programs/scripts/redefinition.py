x = 1
x += 1
x = x * 2
print(x)
