"""A disk that fills up and a store that somebody emptied."""

import resource
from collections.abc import Iterator
from contextlib import contextmanager

from tests.commands import CREDIT_SCORING


@contextmanager
def largest_file(kilobytes: int) -> Iterator[None]:
    """The kernel refuses to let files of this process grow further, as a full disk does."""
    before, most = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1024 * kilobytes, most))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (before, most))


def test_full_disk_is_one_clear_line_and_each_run_continues_where_the_last_had_no_space(fieldwork):
    command = (*CREDIT_SCORING.tiny, *CREDIT_SCORING.little_evidence, "--quiet")
    for kilobytes in (4, 64):  # no room for the table, for the report
        with largest_file(kilobytes):
            fieldwork(*command).require_plain_failure(1, "disk", "annot write")
    # a process of its own creates the database of the registry step by step, as a user's does
    full = fieldwork.process(*command, largest_file_bytes=400 * 1024)
    full.require_plain_failure(1, "disk", "mlflow.db")
    outcome = fieldwork(*CREDIT_SCORING.brief).require_success()
    assert "assemble   reused" in outcome.stderr
    assert outcome.document["model"]["version"] == 1


def test_emptied_store_is_computed_again(fieldwork):
    first = fieldwork(*CREDIT_SCORING.brief).require_success().document
    for blob in (path for path in (fieldwork.home / "store").rglob("*") if path.is_file()):
        blob.unlink()
    again = fieldwork(*CREDIT_SCORING.brief).require_success()
    assert "Reused" not in again.stderr
    assert again.document["metrics"] == first["metrics"]
