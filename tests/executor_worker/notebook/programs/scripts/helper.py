def double(number):
    return number * 2


def fail():
    raise ValueError("from the helper")
