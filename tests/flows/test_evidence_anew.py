"""Settings that only judge or explain: changing them gives new evidence of the same weights, without training."""

import importlib
import json
import re
import shutil
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, get_type_hints

import pytest
from pydantic import BaseModel

from tests.commands import COMMANDS


def fields(model: type[BaseModel], key: str) -> Iterator[tuple[str, str]]:
    """Class and name of the setting of this dotted key, or of all in the section."""
    section, _, rest = key.partition(".")
    annotation: Any = model.model_fields[section].annotation
    if rest:
        yield from fields(annotation, rest)
    elif isinstance(annotation, type) and issubclass(annotation, BaseModel):
        for name in annotation.model_fields:
            yield from fields(annotation, name)
    else:
        yield model.__name__, section


def with_setting(command: Sequence[str], key: str, value: int) -> list[str]:
    """The command with this setting in place of the one that it may have."""
    places = [place for place, part in enumerate(command) if part.startswith(f"{key}=")]
    dropped = {place - back for place in places for back in (0, 1)}
    return [part for place, part in enumerate(command) if place not in dropped] + ["--set", f"{key}={value}"]


@pytest.mark.parametrize("pipeline", COMMANDS)
def test_training_reads_nothing_that_is_said_not_to_matter_to_it(home_of: Callable[[str], Path], pipeline):
    read = {tuple(pair) for pair in json.loads((home_of(pipeline) / "read_in_training.json").read_text())}
    assert len(read) > 5, "training has settings"
    steps = importlib.import_module(f"pipelines.{pipeline}.steps")
    model = get_type_hints(steps.learnt)["return"]
    for key in steps.NOT_LEARNT:
        assert not read & set(fields(model, key)), key


@pytest.mark.parametrize("pipeline", COMMANDS)
def test_another_look_at_the_evidence_trains_nothing_again(home_of, fieldwork, pipeline):
    trained = home_of(pipeline)
    shutil.copytree(trained, fieldwork.home, ignore=shutil.ignore_patterns("mlflow.db*", "artifacts"))
    outcome = fieldwork(
        *with_setting(COMMANDS[pipeline].brief, "explanation.num_checked", 25)
    ).require_success()
    assert re.search(r"\n  train +reused from an earlier run", outcome.stderr)
    assert not re.search(r"\n  explain +reused", outcome.stderr)
    document = json.loads((trained / "result.json").read_text())
    before, after = (Path(each["model"]["bundle"]) for each in (document, outcome.document))
    weights = [(bundle / "model.safetensors").read_bytes() for bundle in (before, after)]
    assert weights[0] == weights[1]
    settings = [json.loads((bundle / "config.json").read_text()) for bundle in (before, after)]
    assert (
        settings[0]["explanation"].pop("num_checked") != settings[1]["explanation"].pop("num_checked") == 25
    )
    assert settings[0] == settings[1], "the published scorer has all settings of its run"
