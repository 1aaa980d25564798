"""Columns of blocks for the terminal."""

import math
from collections.abc import Sequence

WIDTH = 72
BLOCKS = " ▁▂▃▄▅▆▇█"


def blocks(shares: Sequence[float], rows: int) -> list[str]:
    """Return shares from 0 to 1 as columns of blocks, the top row first; more is cut off.

    What is above 0 shows, and only 1 fills a column.
    """
    parts = [math.floor(min(share, 1.0) * 8 * rows) for share in shares]
    eighths = [max(part, int(share > 0)) for part, share in zip(parts, shares, strict=True)]
    return [
        "".join(BLOCKS[min(max(eighth - 8 * row, 0), 8)] for eighth in eighths)
        for row in reversed(range(rows))
    ]
