"""Plain text for terminals and pipes alike."""

from __future__ import annotations

from collections.abc import Sequence


def columns(rows: Sequence[Sequence[str]], *, indent: str = "") -> str:
    """Return ``rows`` as lines whose columns are aligned; the last column is left as long as it is.

    >>> print(columns([("a", "1"), ("long", "2")]))
    a     1
    long  2
    """
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)][:-1]
    lines = []
    for row in rows:
        cells = [cell.ljust(width) for cell, width in zip(row, widths, strict=False)]
        lines.append((indent + "  ".join([*cells, row[-1]])).rstrip())
    return "\n".join(lines)


def size(num_bytes: float) -> str:
    """Return a number of bytes in the unit that suits it.

    >>> size(37_500_000), size(512)
    ('37.5 MB', '512 B')
    """
    units = ["B", "kB", "MB", "GB"]
    while num_bytes >= 1000 and len(units) > 1:
        num_bytes /= 1000
        units.pop(0)
    return f"{num_bytes:.0f} B" if units[0] == "B" else f"{num_bytes:.1f} {units[0]}"


def clock(seconds: float) -> str:
    """Return a duration as people write it.

    >>> clock(3723.4), clock(65), clock(9.27)
    ('1 h 02 min', '1 min 05 s', '9.3 s')
    """
    if seconds < 59.95:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest:02d} s"
    return f"{minutes // 60} h {minutes % 60:02d} min"
