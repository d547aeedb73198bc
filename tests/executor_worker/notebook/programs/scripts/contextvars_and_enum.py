import contextvars
import enum
import functools
import typing


class Color(enum.Enum):
    RED = 1


@functools.lru_cache
def square(n: int) -> int:
    return n * n


held = contextvars.ContextVar("held", default=0)
held.set(3)
print(Color.RED, square(4), held.get(), typing.get_type_hints(square))
