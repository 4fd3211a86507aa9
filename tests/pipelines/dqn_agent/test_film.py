"""Films move, begin and end with the episode, and stay small."""

import io

import numpy as np
import pytest
from PIL import Image

from pipelines.dqn_agent.film import film_of


def frames(num: int, height: int = 60, width: int = 90) -> list[np.ndarray]:
    found = [np.full((height, width, 3), 255, np.uint8) for _ in range(num)]
    for number, frame in enumerate(found):
        frame[10:20, number % (width - 10) : number % (width - 10) + 10] = (200, 30, 30)
    return found


@pytest.mark.parametrize("num", [2, 40, 151, 700])
def test_films_have_the_first_and_the_last_frame_and_not_too_many(num):
    shown = frames(num)
    with Image.open(io.BytesIO(film_of(shown))) as film:
        assert 2 <= film.n_frames <= 152
        for place, frame in ((0, shown[0]), (film.n_frames - 1, shown[-1])):
            film.seek(place)
            found = np.asarray(film.convert("RGB")).astype(int)
            assert np.abs(found - frame).mean() < 3


def test_a_single_frame_is_a_picture():
    assert film_of(frames(1)).startswith(b"\x89PNG")


def test_nothing_drawn_has_no_film():
    assert film_of([]) is None


def test_noise_on_large_frames_is_scaled_down_until_it_is_small():
    random = np.random.default_rng(0)
    noisy = [random.integers(0, 256, (300, 300, 3), dtype=np.uint8) for _ in range(60)]
    assert len(film_of(noisy)) <= 3_000_000
