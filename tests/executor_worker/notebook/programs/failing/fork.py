import os
os.fork()
# PermissionError, line 2: may not start other processes
