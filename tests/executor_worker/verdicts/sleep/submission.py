import time

print("good night")
time.sleep(3600)
