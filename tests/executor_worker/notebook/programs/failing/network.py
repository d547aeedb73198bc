import urllib.request

urllib.request.urlopen("http://127.0.0.1:9/")
# URLError, line 3: There is no network here
