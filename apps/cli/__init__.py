"""The `fieldwork` command.

Every module here starts light: whatever costs more than a few milliseconds to import is imported inside the
command that needs it, so that `fieldwork --help` answers at once.
"""
