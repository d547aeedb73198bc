print(lenn([]))
# NameError, line 1: Did you mean: 'len'?
