"""A film of an episode, as an animated PNG: reports embed it, and their pages admit no other moving picture."""

import io
from collections.abc import Sequence

import numpy as np

_MOST_BYTES = 3_000_000
_MOST_FRAMES, _LARGEST_EDGE, _COLOURS = 150, 320, 64
_MILLISECONDS = 50
# Each smaller than the one before, until one is small enough.
_SHRINKINGS = ((1, 1.0), (2, 1.0), (2, 0.75), (3, 0.5), (6, 0.5), (12, 0.35))


def film_of(frames: Sequence[np.ndarray]) -> bytes | None:
    """The frames of an episode, uint8 (height, width, 3), as an animated PNG of at most 3 MB; None without any.

    Long episodes are shown with every few frames and large ones scaled down; the first and the last are always there.
    """
    if not frames:
        return None
    every = -(-len(frames) // _MOST_FRAMES)
    expected = 0.0
    for further, shrink in _SHRINKINGS:
        if expected * shrink**2 / further > _MOST_BYTES:
            continue
        found = _animated(_chosen(frames, every * further), shrink, every * further)
        if len(found) <= _MOST_BYTES:
            return found
        expected = len(found) * further / shrink**2
    return None


def _chosen(frames: Sequence[np.ndarray], every: int) -> list[np.ndarray]:
    chosen = list(frames[::every])
    return chosen if (len(frames) - 1) % every == 0 else [*chosen, frames[-1]]


def _animated(frames: Sequence[np.ndarray], shrink: float, every: int) -> bytes:
    from PIL import Image

    height, width = frames[0].shape[:2]
    scale = shrink * min(1.0, _LARGEST_EDGE / max(height, width))
    size = max(1, round(width * scale)), max(1, round(height * scale))
    # one palette for all frames: each with its own would flicker
    pictures = [Image.fromarray(frame).convert("RGB").resize(size, Image.Resampling.BOX) for frame in frames]
    palette = pictures[len(pictures) // 2].quantize(_COLOURS)
    indexed = [picture.quantize(palette=palette, dither=Image.Dither.NONE) for picture in pictures]
    buffer = io.BytesIO()
    indexed[0].save(
        buffer,
        format="PNG",
        save_all=True,
        append_images=indexed[1:],
        duration=min(200, _MILLISECONDS * every),
        loop=0,
        optimize=True,
    )
    return buffer.getvalue()
