"""`at`: one instant, once."""

from dataclasses import dataclass

from carillon.schedule.seconds import SecondsSchedule


@dataclass(frozen=True, slots=True)
class At(SecondsSchedule):
    """One due second."""

    second: int

    @property
    def endless(self) -> bool:
        """It ends."""
        return False

    def next_second(self, after: int) -> int | None:
        """Tell the second, until it has come."""
        return self.second if after < self.second else None

    def count_seconds(self, after: int, through: int) -> int:
        """Count one or none."""
        return int(after < self.second <= through)

    def newest_seconds(self, after: int, through: int, limit: int) -> list[int]:
        """List the second if it is in between."""
        return [self.second] if after < self.second <= through else []
