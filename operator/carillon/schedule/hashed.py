"""`H`: a number that a name chooses, so that a thousand nightly jobs do not all start at midnight (as in Jenkins).

The choice is a SHA-256 of the name and the field: the same on every machine and in every version, and different in
each field. In the day of the month it is 1 to 28, so that it comes every month.
"""

import hashlib


def chosen(hash_key: str, field: str, size: int) -> int:
    """Choose a number >= 0 and < size."""
    digest = hashlib.sha256(f"{hash_key}\0{field}".encode()).digest()
    return int.from_bytes(digest[:8], "big") % size
