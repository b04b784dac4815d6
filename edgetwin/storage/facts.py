"""The few facts that change with every write of the outbox: one small table, one page."""

from dataclasses import dataclass, field

from edgetwin.storage.database import Transaction

SCHEMA = "CREATE TABLE IF NOT EXISTS state (key TEXT PRIMARY KEY, value) WITHOUT ROWID"


@dataclass(slots=True)
class Facts:
    """Loaded at the beginning of a transaction, saved at its end; only what changed is written."""

    values: dict[str, int | str]
    changed: set[str] = field(default_factory=set)

    @classmethod
    def load(cls, tx: Transaction) -> "Facts":
        """All of them."""
        return cls({str(key): value for key, value in tx.rows("SELECT key, value FROM state")})

    def number(self, key: str) -> int:
        """A number; 0 where there is none yet."""
        return int(self.values.get(key, 0))

    def set(self, key: str, value: int | str) -> None:
        """Note a value."""
        if self.values.get(key) != value:
            self.values[key] = value
            self.changed.add(key)

    def add(self, key: str, amount: int) -> int:
        """Note a changed number; gives it."""
        self.set(key, self.number(key) + amount)
        return self.number(key)

    def forget(self, tx: Transaction, key: str) -> None:
        """Remove one."""
        self.values.pop(key, None)
        self.changed.discard(key)
        tx.run("DELETE FROM state WHERE key = ?", (key,))

    def save(self, tx: Transaction) -> None:
        """Write what has changed."""
        tx.many(
            "INSERT OR REPLACE INTO state VALUES (?, ?)",
            [(key, self.values[key]) for key in sorted(self.changed)],
        )
