"""Thread limits hold inside their block and end with it."""

import pytest
import torch

from shared.training.runtime import single_thread


@pytest.fixture
def two_threads():
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


def test_threads_come_back_after_the_block(two_threads: None) -> None:
    with single_thread():
        assert torch.get_num_threads() == 1
    assert torch.get_num_threads() == 2


def test_threads_come_back_after_an_error(two_threads: None) -> None:
    with pytest.raises(ValueError, match="inside"), single_thread():
        raise ValueError("inside")
    assert torch.get_num_threads() == 2
