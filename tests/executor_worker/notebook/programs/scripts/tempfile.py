import tempfile
with tempfile.NamedTemporaryFile('w+') as f:
    f.write('t')
    f.seek(0)
    print(f.read())
