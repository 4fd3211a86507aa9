"""Symbols become the classes of EC57 as de Chazal et al. tabulated them."""

import numpy as np
import pytest

from pipelines.ecg_anomaly.labels import UNKNOWN, class_codes, class_counts, class_name
from pipelines.ecg_anomaly.schema import Annotation


@pytest.mark.parametrize(
    ("symbols", "name"),
    [("NLRBej", "N"), ("AaJSn", "S"), ("VEr", "V"), ("F", "F"), ("/fQ?", "Q")],
    ids=["normal", "supraventricular", "ventricular", "fusion", "unclassifiable"],
)
def test_beat_symbols_have_their_class(symbols, name):
    assert {class_name(code) for code in class_codes(list(symbols))} == {name}


def test_rhythm_noise_and_flutter_are_no_beats():
    codes = class_codes(["+", "~", "|", "[", "!", "]", "x", '"', "unheard of"])
    assert set(codes.tolist()) == {UNKNOWN}
    assert class_name(UNKNOWN) is None


def test_only_beats_are_kept_in_the_order_of_time():
    marks = Annotation.of(np.array([5, 40, 20, 30]), ["+", "V", "N", "~"])
    assert marks.sample.tolist() == [20, 40]
    assert marks.beat_class.tolist() == [0, 2]


def test_counts_leave_unknown_beats_out():
    assert class_counts(np.array([0, 0, 2, -1], dtype=np.int8)) == {"N": 2, "S": 0, "V": 1, "F": 0, "Q": 0}
