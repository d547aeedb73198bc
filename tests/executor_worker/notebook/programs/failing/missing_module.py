import no_such_module
# ModuleNotFoundError, line 1: No module named 'no_such_module'
