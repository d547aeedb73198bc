x = 1

print(x / 0)
# ZeroDivisionError, line 3: division by zero
