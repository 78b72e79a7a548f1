"""The shop's orders, without any server: what the local resource `unit` runs."""

# ruff: noqa: PT009 - Python alone runs them

import sys
import tempfile
import unittest
from pathlib import Path

SHOP = Path(__file__).parents[1]
sys.path.insert(0, str(SHOP / "api"))

import database  # noqa: E402 - it is the API's, and found there


class Orders(unittest.TestCase):
    """Orders are taken in a row and shipped in that order."""

    def setUp(self) -> None:
        """Have an empty database."""
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        database.PATH = str(Path(folder.name, "shop.db"))
        database.migrate()

    def test_the_oldest_order_is_shipped_first(self) -> None:
        """The worker asks for nothing else."""
        for item in ("apple", "pear"):
            database.order(item)
        self.assertEqual(database.ship_one(), 1)
        self.assertEqual(database.orders(), [(1, "apple", True), (2, "pear", False)])

    def test_there_may_be_nothing_to_ship(self) -> None:
        """The worker asks again later."""
        self.assertIsNone(database.ship_one())

    def test_to_migrate_again_is_harmless(self) -> None:
        """The Job may run twice."""
        database.order("apple")
        database.migrate()
        self.assertEqual(len(database.orders()), 1)


if __name__ == "__main__":
    unittest.main()
