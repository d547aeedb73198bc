import io, contextlib
with contextlib.redirect_stdout(io.StringIO()) as s:
    print('in')
print(repr(s.getvalue()))
