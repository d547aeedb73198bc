from math import *
print(sqrt(16), pi > 3)
