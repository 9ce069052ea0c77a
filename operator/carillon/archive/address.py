"""Where the archive is: a PostgreSQL server or a SQLite file, as a URL that nobody prints with its password."""

from pathlib import Path

from carillon.archive.errors import NotUsable

CURE = "write postgresql://USER:PASSWORD@HOST:5432/DATABASE?sslmode=verify-full, or sqlite:////PATH/OF/FILE"
_DRIVERS = {
    "postgres": "postgresql+psycopg",
    "postgresql": "postgresql+psycopg",
    "postgresql+psycopg": "postgresql+psycopg",
    "sqlite": "sqlite",
}


def driver_url(url: str) -> str:
    """Name the driver in a URL.

    Raises:
        NotUsable: another kind of database, or no URL; the message has no part of it but its scheme.
    """
    scheme, separator, rest = url.strip().partition("://")
    if not separator or scheme not in _DRIVERS:
        found = f"found one for {scheme!r}" if separator and scheme.replace("+", "").isalnum() else "found none"
        raise NotUsable(f"the archive's URL: {found}; {CURE}")
    if scheme == "sqlite" and not rest.startswith("//"):
        raise NotUsable(f"the archive's URL: sqlite needs a file by its absolute path; {CURE}")
    return f"{_DRIVERS[scheme]}://{rest}"


def url_in(path: Path) -> str:
    """Read the URL from the file of a mounted Secret.

    Raises:
        NotUsable: it cannot be read, or is empty.
    """
    try:
        url = path.read_text().strip()
    except (OSError, UnicodeDecodeError) as error:
        raise NotUsable(f"the archive's URL: {path} cannot be read ({error.__class__.__name__})") from None
    if not url:
        raise NotUsable(f"the archive's URL: {path} is empty; {CURE}")
    return url


def url_of_file(path: Path) -> str:
    """Make the URL of a SQLite file."""
    return f"sqlite:///{path.absolute()}"
