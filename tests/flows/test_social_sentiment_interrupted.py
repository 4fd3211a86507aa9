"""Social-media sentiment, killed in training: the same command continues and ends as if nothing had happened."""

from tests.flows.interrupted import killed_run_continues


def test_run_killed_in_training_continues_to_the_same_weights(fieldwork, fieldwork_in, commands, tmp_path):
    command = commands["social_sentiment"].interruptible
    uninterrupted = fieldwork_in(tmp_path / "reference")(*command).require_success()
    killed_run_continues(fieldwork, command, uninterrupted.document)
