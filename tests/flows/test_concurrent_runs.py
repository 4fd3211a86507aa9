"""Two runs at once in one home, each with its own process, as two people on one machine have them."""

from tests.commands import CREDIT_SCORING, settings


# Locks are shared code, which one pipeline shows.
def test_two_identical_first_runs_at_once_both_succeed_and_publish_one_version(fieldwork):
    command = CREDIT_SCORING.brief
    together = [fieldwork.start(*command, module="tests.flows.undrawn", own_server=True) for _ in range(2)]
    outcomes = [fieldwork.ended(process).require_success() for process in together]
    documents = [outcome.document for outcome in outcomes]
    assert [document["model"]["version"] for document in documents] == [1, 1]
    assert documents[0]["metrics"] == documents[1]["metrics"]
    assert documents[0]["run_id"] == documents[1]["run_id"]
    listed = fieldwork("models", "list").require_success().stdout
    assert listed.count(f"{CREDIT_SCORING.contract}@") == 1, listed
    trained_by = [outcome for outcome in outcomes if "train      reused" not in outcome.stderr]
    assert len(trained_by) == 1, "one trains, the other waits and reuses"


def test_two_different_runs_at_once_on_the_same_data_do_not_disturb_each_other(fieldwork):
    """Both save checkpoints at every step, and the first to end removes its own while the other trains."""
    together = [
        fieldwork.start(
            *CREDIT_SCORING.brief,
            *CREDIT_SCORING.save_always,
            *settings(f"training.epochs={epochs}"),
            module="tests.flows.undrawn",
        )
        for epochs in (3, 20)
    ]
    documents = [fieldwork.ended(process).require_success().document for process in together]
    assert [document["training"]["epochs"] for document in documents] == [3, 20]
    assert sorted(document["model"]["version"] for document in documents) == [1, 2]
