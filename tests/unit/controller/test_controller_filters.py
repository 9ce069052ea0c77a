"""Filters, evaluated by the real worker process: what counts, what does not, and what is killed."""

import time
from collections.abc import AsyncIterator
from typing import Any

import orjson
import pytest

from carillon.controller.budgets import Budgets
from carillon.controller.filters import MOST_BYTES, Filters
from carillon.engine.eventmatch import PassedOver

BURN = "object.l.all(a, object.l.all(b, object.l.all(c, object.l.all(d, a + b + c + d >= 0))))"
LONG = {"l": list(range(100))}


@pytest.fixture
async def filters() -> AsyncIterator[Filters]:
    made = Filters()
    yield made
    await made.close()


async def verdict(
    filters: Filters, expression: str, current: Any, old: Any = None, who: str = "a", namespace: str = "team"
) -> Any:
    before = orjson.dumps(old) if old is not None else b""
    return await filters.evaluate(who, namespace, expression, orjson.dumps(current), before)


@pytest.mark.parametrize(
    ("expression", "current", "old", "passed_over"),
    [
        ("object.data.ready == 'yes'", {"data": {"ready": "yes"}}, None, None),
        ("object.data.ready == 'yes'", {"data": {"ready": "no"}}, None, PassedOver.FILTERED),
        ("object.data.ready == 'yes'", {}, None, PassedOver.FILTERED),
        ("object.spec.image != oldObject.spec.image", {"spec": {"image": "b"}}, {"spec": {"image": "a"}}, None),
        (
            "object.spec.image != oldObject.spec.image",
            {"spec": {"image": "a"}},
            {"spec": {"image": "a"}},
            PassedOver.FILTERED,
        ),
        ("oldObject == null || object.a != oldObject.a", {"a": 1}, None, None),
        ("object.type == 'Warning' && object.involvedObject.kind == 'Pod'", {"type": "Normal"}, None, "Filtered"),
        ("object.n > 1", {"n": "text"}, None, PassedOver.FILTER_FAILED),
        ("nosuch(object)", {}, None, PassedOver.FILTER_FAILED),
        ("object.n", {"n": 1}, None, PassedOver.FILTER_FAILED),
    ],
)
async def test_what_counts(filters: Filters, expression: str, current: Any, old: Any, passed_over: Any) -> None:
    found = await verdict(filters, expression, current, old)
    assert found.passed_over == passed_over
    assert bool(found.trouble) == (passed_over is PassedOver.FILTER_FAILED)


async def test_one_that_takes_too_long_is_killed_and_then_rests(filters: Filters) -> None:
    """And holds up the others for no more than its CPU time and the start of another process."""
    assert (await verdict(filters, "true", {})).passed_over is None
    burned = await verdict(filters, BURN, LONG, who="burner")
    assert burned.passed_over is PassedOver.FILTER_TIMEOUT
    assert "0.2 s of CPU time" in burned.trouble
    assert (await verdict(filters, "object.l.size() == 100", LONG, who="other")).passed_over is None
    began = time.perf_counter()
    for _ in range(100):
        assert (await verdict(filters, BURN, LONG, who="burner")).passed_over is PassedOver.FILTER_TIMEOUT
    assert time.perf_counter() - began < 10, "half of what the evaluations would take"
    filters.forget("burner")
    assert (await verdict(filters, "true", {}, who="burner")).passed_over is None


async def test_one_that_takes_too_much_memory_is_ended(filters: Filters) -> None:
    grow = "object.s + object.s"
    for _ in range(5):
        grow = f"[{grow}].map(x, x + x + x + x)[0]"
    found = await verdict(filters, f"({grow}).size() > 1", {"s": "x" * 200_000})
    assert found.passed_over in (PassedOver.FILTER_FAILED, PassedOver.FILTER_TIMEOUT)
    assert (await verdict(filters, "true", {}, who="other")).passed_over is None


async def test_an_object_that_is_too_large_is_not_looked_at(filters: Filters) -> None:
    found = await verdict(filters, "true", {"data": "x" * MOST_BYTES})
    assert (found.passed_over, "512 KiB" in found.trouble) == (PassedOver.TOO_LARGE, True)


async def test_the_filters_of_a_namespace_are_cut_off_together() -> None:
    """None of them takes too long, and many of them do."""
    now = 0.0
    filters = Filters(Budgets(share=0.1, burst_seconds=0.05, monotonic=lambda: now))
    slow = "object.l.all(a, object.l.all(b, a + b >= 0))"
    try:
        for number in range(1000):
            found = await verdict(filters, slow, LONG, who=f"trigger-{number}", namespace="greedy")
            if found.passed_over is not None:
                break
        assert found.passed_over is PassedOver.FILTER_TIMEOUT
        assert "10 % of a core" in found.trouble
        assert (await verdict(filters, slow, LONG, namespace="modest")).passed_over is None
        now += 60
        assert (await verdict(filters, slow, LONG, who="trigger-0", namespace="greedy")).passed_over is None
    finally:
        await filters.close()
