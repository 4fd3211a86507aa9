"""A disk that fills up and a store that somebody emptied."""

from tests.commands import CREDIT_SCORING


def test_full_disk_is_one_clear_line_and_each_run_continues_where_the_last_had_no_space(fieldwork):
    command = (*CREDIT_SCORING.tiny, *CREDIT_SCORING.little_evidence, "--quiet")
    for kilobytes in (4, 64, 400):  # no room for the table, for the report, for the registry
        full = fieldwork.process(*command, largest_file_bytes=1024 * kilobytes)
        full.require_plain_failure(1, "disk", "annot write" if kilobytes < 400 else "mlflow.db")
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
