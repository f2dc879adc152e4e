import io
import unittest
from unittest import mock


class Tests(unittest.TestCase):
    def setUp(self):
        self.items = [1, 2]

    def test_passes(self):
        self.assertEqual(sum(self.items), 3)

    def test_fails(self):
        self.assertEqual(self.items, [1, 2, 3])

    def test_errors(self):
        raise RuntimeError("unexpected")

    @unittest.skip("not now")
    def test_skipped(self):
        pass

    @mock.patch("os.getcwd", return_value="/mocked")
    def test_mock(self, getcwd):
        import os
        self.assertEqual(os.getcwd(), "/mocked")
        getcwd.assert_called_once_with()


stream = io.StringIO()
suite = unittest.defaultTestLoader.loadTestsFromTestCase(Tests)
result = unittest.TextTestRunner(stream, verbosity=2).run(suite)
print(stream.getvalue().split("Ran 5")[0])
print(result.testsRun, len(result.failures), len(result.errors), result.skipped[0][1])
