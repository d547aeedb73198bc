raise ExceptionGroup('several', [ValueError(1), TypeError(2)])
# ExceptionGroup, line 1: several
