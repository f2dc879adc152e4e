import unittest


class Tests(unittest.TestCase):
    def test_one(self):
        with self.subTest(i=1):
            self.assertIn("a", "abc")

    def test_two(self):
        with self.assertRaisesRegex(ValueError, "invalid"):
            int("x")


if __name__ == "__main__":
    unittest.main()
