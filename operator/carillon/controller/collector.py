"""The garbage collector, told what this process is: thousands of objects that live long, and few that die in cycles.

Left alone it goes over all that lives again and again while it is read, which takes longer than the reading, and every
collection stops all threads, that of the lease, too.
"""

import gc

YOUNG = 20_000
"""So many more objects made than freed, and the youngest are gone over (Python's default: 700)."""


def ease() -> None:
    """Have it look less often; for a process that begins to take everything in."""
    gc.set_threshold(YOUNG, 20, 20)


def keep() -> None:
    """Have it pass over what is there now for good; what is freed one by one is freed all the same."""
    gc.collect()
    gc.freeze()
