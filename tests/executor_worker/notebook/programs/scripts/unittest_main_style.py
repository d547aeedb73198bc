import io
import unittest


class Adding(unittest.TestCase):
    def test_sum(self):
        self.assertEqual(1 + 1, 2)

    def test_wrong(self):
        self.assertEqual(1 + 1, 3)


told = io.StringIO()
result = unittest.TextTestRunner(stream=told).run(unittest.defaultTestLoader.loadTestsFromTestCase(Adding))
print(result)
print([line for line in told.getvalue().splitlines() if "File" in line or "AssertionError" in line][-1])
