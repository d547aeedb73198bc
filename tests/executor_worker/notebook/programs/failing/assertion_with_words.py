assert 1 == 2, 'one is not two'
# AssertionError, line 1: one is not two
