import sys
sys.exit(1)
# SystemExit, line 2: exit code 1
