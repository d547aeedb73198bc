import os, sys
print(os.path.basename(__file__), len(sys.argv), os.path.basename(sys.argv[0]))
