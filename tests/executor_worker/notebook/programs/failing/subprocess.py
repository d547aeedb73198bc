import subprocess
subprocess.run(['ls'])
# PermissionError, line 2: may not start other processes
