"""Errors that a user can act on. The command line prints their message and exits with their code."""


class FieldworkError(Exception):
    """The run failed. The message is one or two plain lines that end with the way out."""

    exit_code = 1


class RequestError(FieldworkError):
    """The request was wrong: an unknown name, a broken contract, a missing or unreadable file."""

    exit_code = 2


class Stopped(FieldworkError):
    """The run was interrupted after saving its state: the same command continues it."""

    exit_code = 3
