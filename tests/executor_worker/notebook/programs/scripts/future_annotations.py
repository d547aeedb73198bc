from __future__ import annotations

def f(x: Missing) -> Missing:
    return x

print(f(1))
