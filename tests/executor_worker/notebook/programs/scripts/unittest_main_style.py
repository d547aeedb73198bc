import unittest


class T(unittest.TestCase):
    def test_it(self):
        self.assertEqual(1, 1)

unittest.main(argv=['x'], exit=False)
print('after')
