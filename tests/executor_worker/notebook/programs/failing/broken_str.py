class E(Exception):
    def __str__(self):
        raise ValueError

raise E()
# E, line 5: exception str() failed
