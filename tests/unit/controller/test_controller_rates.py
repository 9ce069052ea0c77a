"""How often somebody may come, and that whoever comes too often costs the others nothing."""

from carillon.controller.rates import Rates


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


def test_so_many_at_once_and_then_so_many_a_second() -> None:
    clock = Clock()
    rates = Rates(per_second=4, burst=3, monotonic=clock)
    assert [rates.allows("a") for _ in range(5)] == [True, True, True, False, False]
    clock.now += 0.25
    assert [rates.allows("a") for _ in range(2)] == [True, False], "being refused has not lengthened the wait"
    clock.now += 3600
    assert [rates.allows("a") for _ in range(4)] == [True, True, True, False], "a rest does not add up"


def test_each_has_its_own() -> None:
    rates = Rates(per_second=1, burst=1, monotonic=Clock())
    assert [rates.allows(key) for key in ("a", "a", "b")] == [True, False, True]


def test_what_is_kept_is_bounded_and_ends() -> None:
    clock = Clock()
    rates = Rates(per_second=1, burst=5, keys=100, monotonic=clock)
    for number in range(1000):
        rates.allows(number)
    assert rates.kept == 100
    clock.now += 60
    rates.allows("another")
    assert rates.kept == 1
