"""What can go wrong with the archive."""


class ArchiveError(Exception):
    """Something is wrong with the archive; the message is for people, and holds no password."""


class NotUsable(ArchiveError):  # noqa: N818  (said to people)
    """The address of the archive is wrong, or what it takes is not installed: nothing mends that but a person."""


class ArchiveUnavailable(ArchiveError):  # noqa: N818
    """The database did not do what it was asked; it may later. Nobody knows whether a write was carried out."""


class RecordsRefused(ArchiveError):  # noqa: N818
    """The database does not take one of these records, and will not take it later; none of them was written."""
