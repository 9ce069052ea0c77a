"""A process that archives, to be killed: `python -m tests.archive.writer URL RUNS`.

It says of each batch that it was told is written.
"""

import sys

from carillon.archive.database import Archive
from tests.archive.records import NOW, many

BATCH = 20


def main(url: str, runs: int) -> None:
    archive = Archive(lambda: url)
    for begin in range(0, runs, BATCH):
        archive.write(many(BATCH, begin), NOW)
        print(begin + BATCH, flush=True)
    archive.close()


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
