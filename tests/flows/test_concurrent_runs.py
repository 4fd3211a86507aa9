"""Two runs at once in one home, each with its own process, as two people on one machine have them."""


# Locks are shared code; the pipeline with most steps shows it, and credit scoring is tried below.
def test_two_identical_first_runs_at_once_both_succeed_and_publish_one_version(fieldwork, commands):
    fraud = commands["fraud_detection"]
    command = (*fraud.tiny, *fraud.little_evidence, "--json", "-")
    together = [fieldwork.start(*command, own_server=True) for _ in range(2)]
    outcomes = [fieldwork.ended(process).require_success() for process in together]
    documents = [outcome.document for outcome in outcomes]
    assert [document["model"]["version"] for document in documents] == [1, 1]
    assert documents[0]["metrics"] == documents[1]["metrics"]
    assert documents[0]["run_id"] == documents[1]["run_id"]
    listed = fieldwork("models", "list").require_success().stdout
    assert listed.count(f"{fraud.contract}@") == 1, listed
    trained_by = [outcome for outcome in outcomes if "train      reused" not in outcome.stderr]
    assert len(trained_by) == 1, "one trains, the other waits and reuses"


def test_two_different_runs_at_once_on_the_same_data_do_not_disturb_each_other(
    fieldwork, tiny, little_evidence
):
    """Both save checkpoints at every step, and the first to end removes its own while the other trains."""
    together = [
        fieldwork.start(
            *tiny, *little_evidence, "--set", f"training.epochs={epochs}", "--json", "-",
            "--set", "training.checkpoint_every_seconds=0",
        )
        for epochs in (5, 40)
    ]  # fmt: skip
    documents = [fieldwork.ended(process).require_success().document for process in together]
    assert [document["training"]["epochs"] for document in documents] == [5, 40]
    assert sorted(document["model"]["version"] for document in documents) == [1, 2]
