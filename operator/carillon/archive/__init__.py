"""The archive: finished runs in a database, for as long as asked. Optional, and the only part that knows SQL.

Nothing here decides when to write: the controller does, and the command line only reads. SQLAlchemy is imported by
`database`, `schema` and `columns`, which nobody imports where no archive is configured.
"""
