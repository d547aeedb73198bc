import os
os.system('ls')
# PermissionError, line 2: may not start other processes
