import sys

print("out", end="|")
print("err", file=sys.stderr)
print("sep", "arated", sep="-", flush=True)
sys.stdout.writelines(["a\n", "b\n"])
