"""The process in which filters are evaluated: `python -m carillon.controller.filter_worker`, one for an operator.

CEL holds the interpreter's lock, and nothing bounds what an expression may cost, so each evaluation has a limit of CPU
time that the kernel enforces (SIGPROF ends the process), and the process a limit of memory. It reads requests from its
standard input until that ends, with the operator or before.
"""

import resource
import signal
import struct
import sys
import time
from functools import lru_cache
from typing import Any, BinaryIO

import orjson

from carillon.engine.cel import library

CPU_SECONDS = 0.2
"""For one evaluation: of CPU time, so that a busy machine makes no filter fail."""
MEMORY_BYTES = 256 * 1024 * 1024
LENGTHS = struct.Struct(">III")
"""Of expression, object and old object, which follow in this order; no old object is empty."""
ANSWER = struct.Struct(">cdI")
"""The verdict, what it took in seconds of CPU time, and the length of the words that follow."""
TRUE, FALSE, FAILED = b"T", b"F", b"E"


def main() -> None:
    """Answer until there are no more requests."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_DATA, (MEMORY_BYTES, MEMORY_BYTES))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    requests, answers = sys.stdin.buffer, sys.stdout.buffer
    library()
    while (header := requests.read(LENGTHS.size)) and len(header) == LENGTHS.size:
        expression, current, old = (requests.read(length) for length in LENGTHS.unpack(header))
        signal.setitimer(signal.ITIMER_PROF, CPU_SECONDS)
        began = time.process_time()
        verdict, words = evaluate(expression.decode(), current, old)
        signal.setitimer(signal.ITIMER_PROF, 0)
        _answer(answers, verdict, time.process_time() - began, words)


def _answer(answers: BinaryIO, verdict: bytes, seconds: float, words: str) -> None:
    text = words.encode()
    answers.write(ANSWER.pack(verdict, seconds, len(text)) + text)
    answers.flush()


def evaluate(expression: str, current: bytes, old: bytes) -> tuple[bytes, str]:
    """Evaluate a filter over `object` and `oldObject`.

    Args:
        expression: CEL.
        current: the object as JSON.
        old: as it was before, as JSON; empty for null.

    Returns:
        TRUE, FALSE (also where a field is not there), or FAILED with the reason in words.
    """
    values = {"object": orjson.loads(current), "oldObject": orjson.loads(old) if old else None}
    try:
        found = _compiled(expression).execute(values)
    except KeyError:
        return FALSE, ""
    except (ValueError, TypeError, RuntimeError, ArithmeticError) as error:
        return FAILED, str(error).partition(". ")[0][:300]
    if not isinstance(found, bool):
        return FAILED, f"gave {type(found).__name__}; it has to be true or false"
    return (TRUE if found else FALSE), ""


@lru_cache(maxsize=256)
def _compiled(expression: str) -> Any:
    return library().compile(expression)


if __name__ == "__main__":
    main()
