import threading, time

def late():
    time.sleep(0.2)
    print('late')

threading.Thread(target=late).start()
print('last line')
