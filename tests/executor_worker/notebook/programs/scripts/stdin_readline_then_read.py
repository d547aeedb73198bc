import sys
first = sys.stdin.readline()
rest = sys.stdin.readlines()
print(repr(first), rest)
