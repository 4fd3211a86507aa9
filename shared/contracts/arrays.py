"""Checks arrays against a contract: shape, dtype, finite values, range, codes. No copy of the data is made.

Images, signals and windows state `tensorShape`, `dtype`, `unit` and, where it applies, `samplingRateHz` and
`layout` in the contract. A name in a shape ('records') is one size that all arrays of the contract share.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from shared.contracts.contract import Contract
from shared.contracts.document import did_you_mean
from shared.contracts.properties import Property
from shared.contracts.report import MAX_EXAMPLES, Violation, broken
from shared.contracts.rules import range_text, values_text

# Elements checked at a time: the masks of a block fit the cache, and a mapped array is read once, in order.
ELEMENTS_PER_BLOCK = 1 << 20


@dataclass(frozen=True, slots=True)
class ArrayCheck:
    """The outcome of `check_arrays`. `rows` of a violation are 1-based positions on the first axis."""

    violations: tuple[Violation, ...]
    contract: Contract
    ignored_arrays: tuple[str, ...]

    @property
    def passed(self) -> bool:
        """Whether every array keeps the contract."""
        return not self.violations

    def require(self) -> None:
        """Raises ContractBroken unless every array keeps the contract: arrays have no quarantine."""
        if self.violations:
            headline = f"{self.contract.id_version}: Expected arrays that keep the contract. Received:"
            raise broken(
                headline, self.violations, "Correct the arrays, or leave out the rows that are named."
            )


def check_arrays(arrays: Mapping[str, np.ndarray], contract: Contract) -> ArrayCheck:
    """Checks the arrays that the contract declares; others are reported as ignored."""
    violations: list[Violation] = []
    sizes: dict[str, int] = {}
    declared = [prop for prop in contract.properties if prop.tensor_shape is not None]
    for prop in declared:
        if prop.name in arrays:
            violations += _check_array(prop, np.asanyarray(arrays[prop.name]), sizes)
        elif not prop.optional:
            received = f"no such array{did_you_mean(prop.name, arrays)}"
            violations.append(_problem(prop, "missing_array", f"an array of {prop.dtype}", received))
    names = {prop.name for prop in declared}
    ignored = tuple(name for name in arrays if name not in names)
    return ArrayCheck(violations=tuple(violations), contract=contract, ignored_arrays=ignored)


def _check_array(prop: Property, array: np.ndarray, sizes: dict[str, int]) -> Iterator[Violation]:
    fits_shape = _fits(prop.tensor_shape or (), array.shape, sizes)
    if not fits_shape:
        yield _problem(
            prop, "shape", _shape_text(prop.tensor_shape or (), sizes), _shape_text(array.shape, {})
        )
    if array.dtype.name != prop.dtype:
        yield _problem(prop, "dtype", str(prop.dtype), array.dtype.name)
    elif not array.size:
        yield _problem(prop, "empty_array", "at least one element", f"shape {_shape_text(array.shape, {})}")
    elif array.dtype.kind in "fiub":
        yield from _check_elements(prop, array)


def _fits(expected: tuple[int | str | None, ...], shape: tuple[int, ...], sizes: dict[str, int]) -> bool:
    """Whether the shape fits; a named size is fixed by the first array that has it."""
    if len(expected) != len(shape):
        return False
    fits = True
    for want, size in zip(expected, shape, strict=True):
        if isinstance(want, str):
            want = sizes.setdefault(want, size)
        fits = fits and want in (None, size)
    return fits


def _check_elements(prop: Property, array: np.ndarray) -> Iterator[Violation]:
    """Violations of the rules on single values, counted in elements over all blocks."""
    counts: dict[str, int] = {}
    rows: dict[str, list[int]] = {}
    examples: dict[str, list[str]] = {}
    table = array.reshape(1, 1) if array.ndim == 0 else array
    step = max(1, ELEMENTS_PER_BLOCK * table.shape[0] // table.size)
    for start in range(0, table.shape[0], step):
        block = table[start : start + step]
        for rule, wrong in _wrong_elements(prop, block):
            positions = np.flatnonzero(wrong.reshape(len(block), -1).any(axis=1))[:MAX_EXAMPLES]
            counts[rule] = counts.get(rule, 0) + int(np.count_nonzero(wrong))
            known = rows.setdefault(rule, [])
            room = MAX_EXAMPLES - len(known)
            known += [start + int(position) + 1 for position in positions[:room]]
            examples.setdefault(rule, []).extend(str(block[at][wrong[at]].flat[0]) for at in positions[:room])
    expected = {"finite": "finite numbers", "range": range_text(prop), "valid_values": values_text(prop)}
    for rule, count in counts.items():
        yield Violation(
            rule,
            prop.name,
            count,
            expected[rule],
            rows=tuple(rows[rule]),
            examples=tuple(examples[rule]),
            blocking=True,
        )


def _wrong_elements(prop: Property, block: np.ndarray) -> Iterator[tuple[str, np.ndarray]]:
    """Each rule with the mask of the elements that break it, where any does."""
    codes = _codes(prop.special_codes, block.dtype)
    for rule, wrong in _element_masks(prop, block):
        if rule != "finite" and wrong.any():
            if len(codes):
                wrong = wrong & ~np.isin(block, codes)
            if prop.finite and block.dtype.kind == "f":
                wrong = wrong & np.isfinite(block)
        if wrong.any():
            yield rule, wrong


def _element_masks(prop: Property, block: np.ndarray) -> Iterator[tuple[str, np.ndarray]]:
    if prop.finite and block.dtype.kind == "f":
        yield "finite", ~np.isfinite(block)
    bounds: list[tuple[Any, Any]] = [
        (np.less, prop.minimum),
        (np.less_equal, prop.exclusive_minimum),
        (np.greater, prop.maximum),
        (np.greater_equal, prop.exclusive_maximum),
    ]
    stated = [(outside, bound) for outside, bound in bounds if bound is not None]
    if stated:
        # A Python int or float takes the array's own type, so that 0.1 means float32(0.1) in a float32 array.
        yield "range", np.logical_or.reduce([outside(block, bound) for outside, bound in stated])
    if prop.valid_values is not None:
        yield "valid_values", ~np.isin(block, _codes(prop.valid_values, block.dtype))


def _codes(values: tuple[Any, ...], dtype: np.dtype) -> np.ndarray:
    """0.1 must mean float32(0.1) in a float32 array, but -9 cannot become a uint8."""
    return np.asarray(values, dtype=dtype if dtype.kind == "f" else None)


def _problem(prop: Property, rule: str, expected: str, received: str) -> Violation:
    return Violation(rule, prop.name, 1, expected, received, blocking=True)


def _shape_text(shape: tuple[int | str | None, ...], sizes: Mapping[str, int]) -> str:
    texts = []
    for size in shape:
        known = f"{size}={sizes[size]}" if isinstance(size, str) and size in sizes else None
        texts.append(known or ("any" if size is None else str(size)))
    return f"[{', '.join(texts)}]"
