"""All random number generators of a process as plain tensors, so that a checkpoint can hold them."""

import math
import random
from typing import cast

import numpy as np
import torch
from torch import Tensor

RandomState = dict[str, Tensor]  # every tensor has a fixed shape: ranks can exchange them


def seed_all(seed: int) -> None:
    random.seed(seed)
    np.random.seed(seed % 2**32)  # noqa: NPY002 - the global generator is what a loss or hook may use
    torch.manual_seed(seed)


def capture(device: torch.device) -> RandomState:
    """State of the global generators of python, numpy, torch and, on cuda, the device."""
    _, python_words, python_gauss = random.getstate()
    numpy_state = cast(tuple[str, np.ndarray, int, int, float], np.random.get_state())  # noqa: NPY002
    _, numpy_words, position, has_gauss, numpy_gauss = numpy_state
    gauss = [math.nan if python_gauss is None else python_gauss, float(numpy_gauss)]
    state = {
        "torch": torch.get_rng_state(),
        "python": torch.tensor(python_words, dtype=torch.int64),
        "numpy": torch.tensor([*numpy_words.tolist(), position, has_gauss], dtype=torch.int64),
        "gauss": torch.tensor(gauss, dtype=torch.float64),
    }
    if device.type == "cuda":
        state["cuda"] = torch.cuda.get_rng_state(device)
    return state


def restore(state: RandomState, device: torch.device) -> None:
    python_gauss, numpy_gauss = state["gauss"].tolist()
    random.setstate((3, tuple(state["python"].tolist()), None if math.isnan(python_gauss) else python_gauss))
    *words, position, has_gauss = state["numpy"].tolist()
    np.random.set_state(  # noqa: NPY002
        ("MT19937", np.array(words, dtype=np.uint32), position, has_gauss, numpy_gauss)
    )
    torch.set_rng_state(state["torch"])
    if device.type == "cuda" and "cuda" in state:
        torch.cuda.set_rng_state(state["cuda"], device)
