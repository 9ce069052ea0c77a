"""The one exception of this package: what was found, where, and what would be right (design 3.10)."""

_SHOWN = 60


class ScheduleError(ValueError):
    """A schedule, an instant or a time zone that cannot be understood.

    Attributes:
        text: what was parsed, whole.
        position: index of the first offending character in `text`; None when it is about the whole.
    """

    def __init__(self, message: str, text: str = "", position: int | None = None) -> None:
        super().__init__(message)
        self.text = text
        self.position = position


def quoted(text: str) -> str:
    """Quote what was found for a message, cut so that no input can flood a status field."""
    return repr(text if len(text) <= _SHOWN else text[: _SHOWN - 3] + "...")


def refusal(text: str, position: int, found: str, cure: str) -> ScheduleError:
    """Say what was found at a place of `text` and what would be right; people count characters from one."""
    return ScheduleError(f"{found}, at character {position + 1} of {quoted(text)}; {cure}", text, position)
