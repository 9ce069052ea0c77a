"""What is said while something takes its time. It goes to standard error: standard output carries results only."""

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Event, Thread

INTERVAL_SECONDS = 10.0


def say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


@contextmanager
def progress(text: str) -> Iterator[None]:
    """Say what is being done at once, again every ten seconds, and when it is done."""
    begun, finished = time.monotonic(), Event()

    def repeat() -> None:
        while not finished.wait(INTERVAL_SECONDS):
            say(f"{text} … {time.monotonic() - begun:.0f} s")

    say(text)
    repeater = Thread(target=repeat, daemon=True)
    repeater.start()
    try:
        yield
    finally:
        finished.set()
        repeater.join()
    say(f"{text} done in {time.monotonic() - begun:.0f} s")
