"""Tests that wait for pods most of the time: all begun at once, each in a namespace of its own, and looked at in turn.

A test that is marked `@together` is an ordinary function of `api` and `namespace`. What pytest calls in its place waits
for the result; the first of them to be called starts them all, those of the other modules too.
"""

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import AbstractContextManager

import pytest

from tests.e2e.api import Api

AT_ONCE = 8
"""More would have two cores work on starting pods instead of on the next due time."""

Test = Callable[[Api, str], None]
_tests: dict[str, Test] = {}


class Crowd:
    """The tests that were begun together."""

    def __init__(
        self, api: Api, items: list[pytest.Item], new_namespace: Callable[[Api], AbstractContextManager[str]]
    ) -> None:
        self._api = api
        self._new_namespace = new_namespace
        self._pool = ThreadPoolExecutor(AT_ONCE)
        wanted = [key for key in map(_key_of, items) if key in _tests]
        self._results: dict[str, Future[None]] = {key: self._pool.submit(self._run, _tests[key]) for key in wanted}

    def _run(self, test: Test) -> None:
        with self._new_namespace(self._api) as namespace:
            test(self._api, namespace)

    def result(self, key: str) -> None:
        """Wait for the end of the test, and fail as it has failed."""
        self._results[key].result()

    def settle(self) -> None:
        """Wait until none of them is going on."""
        wait(self._results.values())

    def end(self) -> None:
        self._pool.shutdown(cancel_futures=True)


def together(test: Test) -> Callable[[Crowd], None]:
    """Have the test begun with the others."""
    key = f"{test.__module__.rpartition('.')[2]}::{test.__name__}"
    _tests[key] = test

    def look(crowd: Crowd) -> None:
        crowd.result(key)

    look.__name__, look.__doc__, look.__module__ = test.__name__, test.__doc__, test.__module__
    return look


def _key_of(item: pytest.Item) -> str:
    return f"{item.path.stem}::{item.name}"
