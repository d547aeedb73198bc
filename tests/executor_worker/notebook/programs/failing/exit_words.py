import sys
sys.exit('bad data')
# SystemExit, line 2: bad data
