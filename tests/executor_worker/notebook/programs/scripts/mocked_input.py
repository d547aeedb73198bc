from unittest import mock
with mock.patch('builtins.input', return_value='fake'):
    print(input())
