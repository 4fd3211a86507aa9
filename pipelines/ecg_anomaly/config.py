"""Every knob of ECG anomaly detection, with its unit and its reason; presets are functions."""

from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class DataConfig(_Section):
    """Where recordings come from."""

    num_patients: int = Field(20, ge=2, le=1000, description="patients that the generator makes")
    minutes: float = Field(5.0, ge=0.5, le=1440, description="length of each generated recording, minutes")
    subset: Literal["ds1", "ds2", "all"] = Field(
        "ds1",
        description="records of the MIT-BIH set, as de Chazal et al. (2004) divided them; all: DS1 trains, DS2 tests",
    )
    lead: str = Field(
        "MLII", min_length=1, max_length=50, description="lead to read; the first one of records that lack it"
    )
    columns: dict[str, str] | None = Field(
        None, description="contract name -> column of a user's own manifest, for example patient: subject"
    )


class SignalConfig(_Section):
    """From the recorder's samples to the signal that everything else sees."""

    rate_hz: int = Field(
        360,
        ge=100,
        le=1000,
        description="common sampling rate, Hz. 360 is that of MIT-BIH, and 256 samples of it are one beat (0.71 s)",
    )
    low_hz: float = Field(0.5, gt=0, le=5, description="below is baseline wander, Hz")
    high_hz: float = Field(40.0, ge=15, description="above is muscle noise, Hz")
    mains_hz: Literal[50, 60] | None = Field(
        None, description="mains frequency to take out, Hz; needed only when high_hz lies above it"
    )
    half_length_s: float = Field(
        1.0,
        ge=0.25,
        le=5,
        description="reach of the filter to each side, and so the delay of a stream, s; longer filters are sharper",
    )
    polarity: Literal["as_given", "upright"] = Field(
        "as_given", description="upright turns a lead over when most beats of its first minute point down"
    )
    min_seconds: float = Field(10.0, ge=5, description="shortest recording that is judged, s")
    max_unusable_share: float = Field(
        0.5, ge=0, lt=1, description="recordings with more flat, saturated or missing samples are refused"
    )

    @model_validator(mode="after")
    def _below_nyquist(self) -> Self:
        if self.high_hz * 2 >= self.rate_hz:
            raise ValueError(
                f"Expected high_hz below half of rate_hz ({self.rate_hz} Hz). Received {self.high_hz}."
            )
        return self


class BeatConfig(_Section):
    """What a beat is."""

    peaks: Literal["annotated", "detected"] = Field(
        "annotated",
        description="where R peaks come from in training and evaluation; recordings without annotations, and all "
        "scoring, use the detector",
    )
    num_samples: int = Field(256, ge=64, le=1024, description="samples of a beat at the common rate")
    before_ms: float = Field(
        250.0, ge=50, le=1000, description="of them before the R peak, ms: the P wave begins 0.2 s before"
    )
    align_ms: float = Field(
        50.0,
        ge=0,
        le=100,
        description="R peaks move to the largest deflection this near, ms; 50 raised PCA on DS1 from V 0.79 to 0.83",
    )
    num_local_beats: int = Field(
        40,
        ge=3,
        le=500,
        description="earlier beats whose median RR interval says whether a beat is early; on DS1 20 gave S 0.861, "
        "40 gave 0.899",
    )
    amplitude: Literal["none", "beat", "recent"] = Field(
        "none",
        description="scale of beats: mV, each of unit deviation, or by the median size of the recent beats",
    )


class ProtocolConfig(_Section):
    """How training and test are kept apart."""

    num_folds: int = Field(5, ge=2, le=50, description="folds of whole patients")
