"""Safe expressions (being written)."""


class Expression:
    """An expression over tags."""
