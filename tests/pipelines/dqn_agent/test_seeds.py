"""No world of the test is one that anybody learnt in, chose by or fitted a rule in."""

from hypothesis import given
from hypothesis import strategies as st

from pipelines.dqn_agent.config import AgentConfig
from pipelines.dqn_agent.seeds import Purpose, are_apart, seed_of


@given(st.integers(0, 2**31 - 1))
def test_purposes_have_seeds_of_their_own_in_the_range_of_every_environment(seed):
    found = [seed_of(seed, purpose) for purpose in Purpose]
    assert len(set(found)) == len(found)
    assert all(2**30 <= one < 2**31 for one in found)


def test_the_same_run_has_the_same_worlds_and_another_run_has_others():
    assert seed_of(3, Purpose.TEST) == seed_of(3, Purpose.TEST)
    assert seed_of(3, Purpose.TEST) != seed_of(4, Purpose.TEST)


def test_learning_in_a_world_of_the_test_is_noticed():
    assert are_apart(AgentConfig(num_seeds=100))
    # a seed whose own worlds for some purpose begin with a seed that it learns with is too rare to be found by trying
    planted = AgentConfig(seed=0).model_copy(update={"num_seeds": seed_of(0, Purpose.TEST) + 1})
    assert not are_apart(planted)
