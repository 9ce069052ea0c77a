"""What is left out of a schedule: holidays, dates and windows; in a definition, or shared by name in a Calendar."""

from pydantic import Field

from carillon.api.base import ApiModel

DAY_SECONDS = 86_400


class Holidays(ApiModel):
    """The public holidays of a country, or of a part of it."""

    country: str = Field(
        min_length=2,
        max_length=3,
        pattern="^[A-Z]{2,3}$",
        description="ISO 3166-1 code of the country. Example: FR.",
    )
    subdivision: str | None = Field(
        default=None,
        min_length=1,
        max_length=32,
        description="Code of the state, province or region, whose own holidays are added. Example: BY.",
    )


class Window(ApiModel):
    """A recurring stretch of time."""

    cron: str = Field(
        min_length=1,
        max_length=256,
        description='When the window begins, as in a trigger. Example: "0 8 * * MON-FRI".',
    )
    duration_seconds: int = Field(
        ge=1, le=31 * DAY_SECONDS, description="How long it lasts, in seconds. Example: 36000, ten hours."
    )
    time_zone: str | None = Field(
        default=None, min_length=1, max_length=64, description="IANA time zone of cron. UTC when empty."
    )


class Closures(ApiModel):
    """Times at which nothing is to run; a due time that falls into one of them is told in status.skips as Excluded."""

    holidays: tuple[Holidays, ...] = Field(
        default=(), max_length=16, description="Public holidays, as civil days of the trigger's time zone."
    )
    dates: tuple[str, ...] = Field(
        default=(),
        max_length=366,
        description='Civil days of the trigger\'s time zone (UTC where it has none). Example: "2026-12-24".',
        json_schema_extra={
            "items": {
                "type": "string",
                "description": "A civil day.",
                "maxLength": 10,
                "pattern": "^[0-9]{4}-[0-9]{2}-[0-9]{2}$",
            }
        },
    )
    windows: tuple[Window, ...] = Field(
        default=(), max_length=16, description="Recurring stretches of time, for example office hours."
    )


class Exclude(Closures):
    """What a definition leaves out of its schedule."""

    calendars: tuple[str, ...] = Field(
        default=(),
        max_length=8,
        description="Names of Calendars in the same namespace, whose exclusions are added.",
        json_schema_extra={
            "items": {"type": "string", "description": "Name of a Calendar.", "minLength": 1, "maxLength": 253}
        },
    )
