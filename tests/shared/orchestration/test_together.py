"""Several processes that train together: who leads, who follows, what they tell each other."""

import json
import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from shared.orchestration.together import follows, leading, several, together
from shared.training.distributed import alone, num_started

ROOT = Path(__file__).parents[3]

STEPS = textwrap.dedent("""
    import json, os, sys
    from pathlib import Path
    import torch
    from pydantic import BaseModel
    from shared.errors import RequestError
    from shared.orchestration.step import step
    from shared.orchestration.together import together
    from shared.training.distributed import join_group

    FOLDER = Path(os.environ["FOLDER"])

    class Config(BaseModel):
        number: int

    def note(what, **facts):
        place = FOLDER / f"rank-{os.environ['RANK']}.jsonl"
        with open(place, "a") as file:
            file.write(json.dumps({"what": what, **facts}) + chr(10))

    def num_joined():
        group = join_group(torch.device("cpu"))
        return int(group.sum(torch.tensor(1)))

    @step()
    @together
    def train(config: Config, names: list[str], bias: float = 0.5) -> int:
        note("train", number=config.number, names=names, bias=bias, joined=num_joined())
        if config.number < 0:
            raise RequestError("Expected a number from 0 on.")
        return config.number

    @step()
    def evaluate(number: int) -> int:
        note("evaluate", joined=num_joined())
        return number
""")
SCRIPT = textwrap.dedent("""
    import some_steps
    from shared.errors import RequestError
    from shared.orchestration.together import follow, follows, leading

    if follows():
        follow()
        some_steps.note("home")
    else:
        with leading():
            assert some_steps.train.function(some_steps.Config(number=1), ["a", "b"]) == 1
            some_steps.evaluate.function(1)
            try:
                some_steps.train.function(some_steps.Config(number=-1), [], bias=2.0)
            except RequestError:
                some_steps.note("refused")
            some_steps.train.function(some_steps.Config(number=3), names=["c"])
        some_steps.note("home")
""")


@pytest.fixture(scope="module")
def notes(tmp_path_factory):
    """What each of two processes did, in order."""
    folder = tmp_path_factory.mktemp("together")
    (folder / "some_steps.py").write_text(STEPS)
    (folder / "script.py").write_text(SCRIPT)
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
    paths = {"PYTHONPATH": f"{ROOT}:{folder}", "FOLDER": str(folder), "OMP_NUM_THREADS": "1"}
    result = subprocess.run(
        [*command, str(folder / "script.py")],
        env=os.environ | paths, capture_output=True, text=True, check=False, timeout=300,
    )  # fmt: skip
    assert result.returncode == 0, result.stderr
    ranks = [folder / f"rank-{rank}.jsonl" for rank in (0, 1)]
    return [[json.loads(line) for line in path.read_text().splitlines()] for path in ranks]


def trained(notes):
    return [note for note in notes if note["what"] == "train"]


def test_all_processes_train_with_the_arguments_of_the_lead(notes):
    lead, other = notes
    assert trained(lead) == trained(other)
    assert [(note["number"], note["names"], note["bias"]) for note in trained(lead)] == [
        (1, ["a", "b"], 0.5), (-1, [], 2.0), (3, ["c"], 0.5)
    ]  # fmt: skip


def test_training_is_joined_and_everything_else_is_the_leads_alone(notes):
    lead, other = notes
    assert {note["joined"] for note in trained(lead)} == {2}
    assert [note["joined"] for note in lead if note["what"] == "evaluate"] == [1]
    assert "evaluate" not in [note["what"] for note in other]


def test_refused_request_is_the_leads_to_report_and_the_others_go_on(notes):
    lead, other = notes
    assert [note["what"] for note in lead] == ["train", "evaluate", "train", "refused", "train", "home"]
    assert [note["what"] for note in other] == ["train", "train", "train", "home"]


def test_one_process_is_left_as_it_is(monkeypatch):
    monkeypatch.delenv("RANK", raising=False)
    monkeypatch.setenv("WORLD_SIZE", "1")
    assert (several(), follows(), num_started()) == (False, False, 1)
    with leading():
        assert together(lambda: "called")() == "called"


@pytest.mark.parametrize(("rank", "others"), [("0", False), ("1", True)])
def test_rank_of_torchrun_says_who_follows(monkeypatch, rank, others):
    monkeypatch.setenv("RANK", rank)
    monkeypatch.setenv("WORLD_SIZE", "2")
    assert (several(), follows()) == (True, others)


def test_process_that_is_alone_joins_nobody(monkeypatch):
    import torch

    from shared.training.distributed import join_group

    monkeypatch.setenv("RANK", "1")
    monkeypatch.setenv("WORLD_SIZE", "2")
    with alone():
        assert join_group(torch.device("cpu")).world == 1
