"""What the steps pass on: a stored division is the division, and facts count its posts."""

import numpy as np

from pipelines.social_sentiment.facts import facts_of
from pipelines.social_sentiment.handles import Divided


def test_a_stored_division_comes_back_as_it_was(world):
    division = world.division
    again = Divided.of(division, "by time", {"clean": True}).division()
    for name, rows in division.parts().items():
        np.testing.assert_array_equal(again.parts()[name], rows)
    np.testing.assert_array_equal(again.left_out, division.left_out)
    np.testing.assert_array_equal(again.groups, division.groups)
    assert again.reasons == division.reasons
    assert (again.kind, again.authors_apart) == (division.kind, division.authors_apart)
    assert len(again.left_out) > 0


def test_facts_count_every_post_once(world):
    facts = facts_of(world.posts, world.division)
    parts = facts["parts"]
    assert sum(part["posts"] for part in parts.values()) + sum(facts["left_out"].values()) == 800
    for part in parts.values():
        assert sum(part["labels"].values()) == part["posts"]
        assert sum(part["topics"].values()) == part["posts"]
        assert part["languages"] == {"en": part["posts"]}
        assert part["weak"] == 0
        assert part["groups"] <= part["posts"]
    assert parts["train"]["last"] < parts["test"]["first"]
