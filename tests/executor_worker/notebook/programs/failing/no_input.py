print('a')
name = input('Name?')
# EOFError, line 2: this run was given no input
