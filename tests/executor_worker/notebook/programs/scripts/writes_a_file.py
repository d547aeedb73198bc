open('notes.txt', 'w').write('kept')
print(open('notes.txt').read())
