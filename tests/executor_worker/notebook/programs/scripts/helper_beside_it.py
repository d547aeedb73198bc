import helper

print(helper.double(21), helper.__name__)
