import threading

for number in range(3):
    thread = threading.Thread(target=print, args=(number,))
    thread.start()
    thread.join()
print("joined", threading.active_count(), threading.current_thread().name)
