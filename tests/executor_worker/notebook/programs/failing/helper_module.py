import helper

helper.fail()
# ValueError, line 3: from the helper
