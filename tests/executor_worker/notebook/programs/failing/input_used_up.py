input()
input()
# EOFError, line 2: (1 line) is used up
