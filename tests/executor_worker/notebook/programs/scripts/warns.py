import warnings

with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always")
    warnings.warn("look out")
print(caught[0].message, caught[0].lineno)
