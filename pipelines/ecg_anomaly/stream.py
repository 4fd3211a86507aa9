"""Scores samples as they come, and says of each beat what the batch would say of it.

What a beat needs of the past is little: RR intervals of some earlier beats, the last usual beats, for its quality the
last dozen. That is all that is kept, so a stream of a week takes no more memory than one of an hour. A beat is given
within `Stream.delay_s` of signal after its R peak; the first `beats.usual_every` wait for each other, since they are
compared with the median of each other.

Two things differ from a recording as a whole. Nothing is refused: whether a stream is too noisy to be judged, or
without beats, only its end would tell; look at the signal quality of its beats. And a lead that is upside down cannot
be turned over before its first minute is over: `signal.polarity=upright` is refused.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch

from pipelines.ecg_anomaly.beats import BeatWindows, Intervals
from pipelines.ecg_anomaly.inputs import as_inputs
from pipelines.ecg_anomaly.quality import NUM_BEFORE, beat_quality
from pipelines.ecg_anomaly.rhythm import earliness
from pipelines.ecg_anomaly.stream_signal import BeatStream, CleanStream, CutBeats, delay_s
from pipelines.ecg_anomaly.threshold import Judged, level
from pipelines.ecg_anomaly.usual import past, usual_beat
from shared.errors import RequestError

if TYPE_CHECKING:
    from pipelines.ecg_anomaly.score import Scorer

_SIGNAL, _NOISE, _USABLE = range(3)


@dataclass(frozen=True, slots=True)
class StreamedBeat:
    """One beat; see the contract `ecg_alerts`. shape, rhythm: the parts of the score.

    p_value: None where the threshold is not a conformal one.
    """

    record: str
    beat: int
    beat_time: float
    r_sample: int
    shape: float
    rhythm: float
    score: float
    threshold: float
    flagged: bool
    p_value: float | None
    signal_quality: float


class Stream:
    """One lead of one patient. Raises RequestError for a rate or a configuration that cannot be streamed."""

    def __init__(self, scorer: "Scorer", rate_hz: float, record: str = "stream") -> None:
        config = scorer.config
        if config.signal.polarity != "as_given":
            raise RequestError(
                "Expected a model trained with signal.polarity=as_given. Received upright: a stream does not know yet "
                "which way its beats point."
            )
        self.scorer, self.record = scorer, record
        self.rate_hz, self.common_hz = rate_hz, config.signal.rate_hz
        self.clean = CleanStream(rate_hz, config.signal)
        self.cut = BeatStream(self.common_hz, config.beats)
        self.memory = _Memory(scorer)
        self.own = _OwnLevel(scorer)

    @property
    def delay_s(self) -> float:
        """Within so much signal after its R peak a beat is given, s; the first ones wait for each other."""
        return delay_s(self.scorer.config.signal)

    def push(self, samples: np.ndarray) -> list[StreamedBeat]:
        """Take samples of any number, mV, NaN where the recorder gave nothing; give the beats that have become certain.

        Raises RequestError for samples beyond what an electrode gives, of which none is taken then.
        """
        return [
            beat
            for clean in self.clean.push(samples)
            for beat in self._judged(self.memory.push(self.cut.push(clean)))
        ]

    def finish(self) -> list[StreamedBeat]:
        """The last beats: nothing comes any more."""
        if not self.clean.num_raw:
            return []
        last = self.cut.push(self.clean.finish(), is_last=True)
        return list(self._judged([*self.memory.push(last), *self.memory.finish()]))

    def _judged(self, parts: "list[_Scored]") -> Iterator[StreamedBeat]:
        is_conformal = self.scorer.thresholds.config.rule == "conformal"
        for part in parts:
            time_s = part.r_sample / self.common_hz
            scores = part.parts.sum(1)
            judged = self.own.judge(scores, time_s)
            at_own_rate = np.round(part.r_sample * self.rate_hz / self.common_hz).astype(np.int64)
            for place in range(len(scores)):
                yield StreamedBeat(
                    record=self.record,
                    beat=part.number + place + 1,
                    beat_time=float(time_s[place]),
                    r_sample=int(at_own_rate[place]),
                    shape=float(part.parts[place, 0]),
                    rhythm=float(part.parts[place, 1]),
                    score=float(scores[place]),
                    threshold=float(judged.threshold[place]),
                    flagged=bool(judged.flagged[place]),
                    p_value=float(judged.p_value[place]) if is_conformal else None,
                    signal_quality=float(part.quality[place]),
                )


@dataclass(frozen=True, slots=True, eq=False)
class _Scored:
    """Beats from `number` on: R peaks (beats,), parts of the score (beats, 2), quality (beats,)."""

    number: int
    r_sample: np.ndarray
    parts: np.ndarray
    quality: np.ndarray


class _Memory:
    """The last beats, and the patient's usual one."""

    def __init__(self, scorer: "Scorer") -> None:
        self.scorer, self.config = scorer, scorer.config.beats
        length = self.config.num_samples
        nothing = np.zeros(0, dtype=np.int64)
        self.held = CutBeats(nothing, nothing, np.zeros((0, 3, length), dtype=np.float32))
        self.num_kept = max(
            Intervals.reach(self.config.num_local_beats), self.config.num_usual_beats, NUM_BEFORE
        )
        self.num_seen, self.num_scored = 0, 0
        self.usual: tuple[torch.Tensor, torch.Tensor] | None = None

    def push(self, beats: CutBeats) -> list[_Scored]:
        self.held = CutBeats(
            np.concatenate([self.held.r_sample, beats.r_sample]),
            np.concatenate([self.held.num_lost, beats.num_lost]),
            np.concatenate([self.held.windows, beats.windows]),
        )
        self.num_seen += len(beats)
        # the quality of the first beat depends on the second
        if self.num_scored == 0 and self.num_seen < max(self.config.usual_every, 2):
            return []
        return self.finish()

    def finish(self) -> list[_Scored]:
        """All beats that were not scored yet, in blocks that share a usual beat."""
        every, found = self.config.usual_every, []
        while self.num_scored < self.num_seen:
            first = self.num_scored
            end = min((first // every + 1) * every, self.num_seen)
            if first % every == 0:
                self.usual = self._usual(first)
            found.append(self._scored(first, end))
            self.num_scored = end
        gone = max(len(self.held) - self.num_kept, 0)
        self.held = CutBeats(self.held.r_sample[gone:], self.held.num_lost[gone:], self.held.windows[gone:])
        return found

    def _usual(self, first: int) -> tuple[torch.Tensor, torch.Tensor]:
        block = past(first, self.num_seen, self.config)
        forgotten = self.num_seen - len(self.held)
        chosen = self.held.windows[block.start - forgotten : block.stop - forgotten, _SIGNAL]
        return usual_beat(torch.from_numpy(chosen))

    def _scored(self, first: int, end: int) -> _Scored:
        new = slice(first - self.num_seen + len(self.held), end - self.num_seen + len(self.held))
        rate, held = self.scorer.config.signal.rate_hz, self.held
        intervals = Intervals.of_beats(
            held.r_sample[: new.stop], held.num_lost[: new.stop], rate, self.config.num_local_beats
        )
        early = torch.from_numpy(earliness(intervals)[new])
        windows = torch.from_numpy(held.windows[new, _SIGNAL])
        assert self.usual is not None, "made at the first beat of each block"
        median, spread = (part.expand_as(windows) for part in self.usual)
        with torch.inference_mode():
            parts = self.scorer.detector.parts(as_inputs(windows, median, spread), early)
        return _Scored(first, held.r_sample[new], parts.double().numpy(), self._quality(new))

    def _quality(self, new: slice) -> np.ndarray:
        """Of beats, from windows one after the other instead of a signal."""
        begin = max(new.start - NUM_BEFORE, 0)
        # the first beat of a recording is known by the second
        end = max(new.stop, min(2, len(self.held)))
        signal, noise, usable = (
            torch.from_numpy(self.held.windows[begin:end, part].ravel())
            for part in (_SIGNAL, _NOISE, _USABLE)
        )
        length = self.config.num_samples
        windows = BeatWindows(signal, torch.arange(end - begin) * length, length)
        index = beat_quality(windows, noise, usable).index
        found: np.ndarray = index[new.start - begin : new.stop - begin]
        return found


class _OwnLevel:
    """The threshold of this patient, once the first minutes are over; see `Thresholds.judge`."""

    def __init__(self, scorer: "Scorer") -> None:
        self.thresholds = scorer.thresholds
        self.first: list[np.ndarray] = []
        self.level: float | None = None
        self.is_over = False

    def judge(self, scores: np.ndarray, time_s: np.ndarray) -> Judged:
        is_first = time_s < 60 * self.thresholds.config.adapt_minutes
        if not self.is_over:
            self.first.append(scores[is_first])
        if not self.is_over and not is_first.all():
            self.is_over, self.level = True, level(np.concatenate(self.first))
            self.first = []
        return self.thresholds.judge_with(self.level, scores, is_first)
