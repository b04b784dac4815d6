"""Rows in columns, for a terminal or a file: nothing but spaces between them."""

from collections.abc import Collection, Iterator, Sequence


def table(
    head: Sequence[str], rows: Sequence[Sequence[str]], numbers: Collection[int] = ()
) -> Iterator[str]:
    """One line a row. Columns in ``numbers`` stand to the right, so that digits do; others left."""
    every = [head, *rows]
    widths = [max(map(len, column)) for column in zip(*every, strict=True)]
    for row in every:
        cells = [
            cell.rjust(width) if place in numbers else cell.ljust(width)
            for place, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        yield "  ".join(cells).rstrip()
