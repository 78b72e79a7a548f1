"""The shop's orders, in one SQLite file."""

import os
import sqlite3

PATH = os.environ.get("DATABASE", "/data/shop.db")


def connect() -> sqlite3.Connection:
    """A connection that commits each statement and waits for others."""
    return sqlite3.connect(PATH, timeout=10, isolation_level=None)


def migrate() -> None:
    """Make the tables; again is harmless."""
    with connect() as db:
        db.execute(
            "CREATE TABLE IF NOT EXISTS orders"
            " (id INTEGER PRIMARY KEY, item TEXT NOT NULL, shipped INTEGER NOT NULL DEFAULT 0)"
        )


def order(item: str) -> int:
    """Note an order; its number."""
    with connect() as db:
        number = db.execute("INSERT INTO orders (item) VALUES (?)", (item,)).lastrowid
        return int(number or 0)


def ship_one() -> int | None:
    """Mark the oldest open order as shipped; its number, or None if all are."""
    with connect() as db:
        row = db.execute(
            "UPDATE orders SET shipped = 1"
            " WHERE id = (SELECT min(id) FROM orders WHERE shipped = 0) RETURNING id"
        ).fetchone()
        return None if row is None else int(row[0])


def orders() -> list[tuple[int, str, bool]]:
    """All orders, oldest first."""
    with connect() as db:
        rows = db.execute("SELECT id, item, shipped FROM orders ORDER BY id").fetchall()
        return [(int(n), str(item), bool(shipped)) for n, item, shipped in rows]
