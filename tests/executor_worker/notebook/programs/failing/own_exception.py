class Odd(Exception):
    pass

raise Odd('very')
# Odd, line 4: very
