exec('1/0')
# ZeroDivisionError, line 1: division by zero
