import sys
input = sys.stdin.readline
print(int(input()) + int(input()))
