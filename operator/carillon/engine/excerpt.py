"""Other people's words, cut to what our fields hold: by characters, as the CRD counts, or by what is stored.

A JobRun has to stay under 10 kB (design 3.12), and it is stored as Go writes JSON: in UTF-8, where a character takes up
to four bytes, and where a control character, `<`, `>` and `&` take six each.
"""

from collections.abc import Iterable

REASON_BYTES = 64
"""Of every field named reason; the CRD refuses more characters."""
MESSAGE_BYTES = 4096
"""Of a run's message. In characters, which the CRD counts, it is never more than in bytes."""
STEP_MESSAGE_BYTES = 1024
"""Of a step's message, whose whole is the run's as long as a run has one step."""
RETRIED_MESSAGE_BYTES = 1536
"""Of the message of a run with several attempts: their records have to fit beside it."""
EARLIER_MESSAGE_BYTES = 96
"""Of the message of each attempt where there are several; of the last one, the run's message has more."""
CONDITION_MESSAGE_BYTES = 256
"""Of the message of each of a run's two conditions."""
_SHORT = frozenset('"\\\b\f\n\r\t')
_LONG = frozenset("<>&\u2028\u2029")


MOST_STORED_BYTES = 6
"""Of one character, in stored JSON (Go, encoding/json)."""


def stored_bytes(character: str) -> int:
    """How many bytes a character takes in stored JSON; never more than six (Go, encoding/json)."""
    if character in _SHORT:
        return 6 if character in "\b\f" else 2
    if character < " " or character in _LONG:
        return 6
    return len(character.encode())


def beginning(text: str, most_bytes: int) -> str:
    """As much of the beginning as takes no more than so many bytes where it is stored."""
    return text if _is_short(text, most_bytes) else text[: _fitting(text, most_bytes)]


def ending(text: str, most_bytes: int) -> str:
    """As much of the end as takes no more than so many bytes where it is stored."""
    return text if _is_short(text, most_bytes) else text[len(text) - _fitting(reversed(text), most_bytes) :]


def _is_short(text: str, most_bytes: int) -> bool:
    """Whether a text fits whatever it is made of; most do."""
    return MOST_STORED_BYTES * len(text) <= most_bytes


def _fitting(characters: Iterable[str], most_bytes: int) -> int:
    count = 0
    for character in characters:
        most_bytes -= stored_bytes(character)
        if most_bytes < 0:
            break
        count += 1
    return count


def reason(word: str) -> str:
    """Somebody else's reason, cut to what ours may be; of a longer one the beginning tells most."""
    return beginning(word, REASON_BYTES)
