"""The only scoring code: batch flow, API and dashboard call `Scorer`, and the evaluation agrees with it."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from pipelines.medical_segmentation.batches import channels_last, scaled
from pipelines.medical_segmentation.calibrate import Calibrated
from pipelines.medical_segmentation.cases import Cases
from pipelines.medical_segmentation.config import MedicalConfig
from pipelines.medical_segmentation.familiar import Familiar
from pipelines.medical_segmentation.fitting import Fitted
from pipelines.medical_segmentation.gather import described, placed
from pipelines.medical_segmentation.geometry import Frame
from pipelines.medical_segmentation.grading import (
    FittedGrader,
    likeliest_grade,
    mirrored_probabilities,
    referable,
)
from pipelines.medical_segmentation.inference import Found, Predictor, components
from pipelines.medical_segmentation.intensity import Fingerprint, Intensity
from pipelines.medical_segmentation.labels import Labels
from pipelines.medical_segmentation.metrics import size_unit
from pipelines.medical_segmentation.model import Grader
from pipelines.medical_segmentation.studies import Study
from pipelines.medical_segmentation.train import new_grader, new_segmenter
from shared.errors import RequestError
from shared.publishing.bundle_files import read_config

if TYPE_CHECKING:
    from shared.publishing.bundle import Bundle

PIPELINE = "medical_segmentation"
# What stands for the structure in results of grading.
IMAGE = "image"
UNLIKE = "brightness or contrast unlike the training images"
_FACTS = "scorer.json"
_WEIGHTS = "model.safetensors"
_EVEN = 0.5


@dataclass(frozen=True, slots=True)
class Form:
    """What a network takes and gives. patch: edges of what it sees at once; spacing_mm: of the grid of volumes, None
    for pictures; num_grades: 0 where it segments."""

    num_channels: int
    patch: tuple[int, ...]
    spacing_mm: tuple[float, ...] | None
    num_grades: int = 0


@dataclass(frozen=True, slots=True, eq=False)
class Placed:
    """A study as networks see it. image: (channels, *grid) in the unit of the file; transfer: see `Intensity`."""

    frame: Frame
    image: np.ndarray
    fingerprint: Fingerprint
    transfer: np.ndarray


@dataclass(frozen=True, slots=True, eq=False)
class Scorer:
    """A fitted network with all that leads from a study to what is said of it.

    network: a U-Net, or a `Grader` where the task is grading; calibrated is None then.
    """

    config: MedicalConfig
    form: Form
    labels: Labels
    network: nn.Module
    intensity: Intensity
    familiar: Familiar
    calibrated: Calibrated | None = None
    version: str = "not registered"

    @classmethod
    def of(
        cls,
        fitted: Fitted | FittedGrader,
        cases: Cases,
        learnt: np.ndarray,
        spacing_mm: tuple[float, ...] | None,
        config: MedicalConfig,
    ) -> Self:
        """The scorer of what was fitted to some cases; spacing_mm: of their grid, None for pictures."""
        transfers = cases.transfers(fitted.intensity)[learnt]
        familiar = Familiar.fit([cases.fingerprints[case] for case in learnt], transfers)
        if isinstance(fitted, FittedGrader):
            patch, num_grades = cases.frames[0].grid, int(cases.grades.max()) + 1
            form = Form(cases.num_channels, patch, spacing_mm, num_grades)
            return cls(config, form, cases.labels, fitted.network, fitted.intensity, familiar)
        form = Form(cases.num_channels, fitted.predictor.patch, spacing_mm)
        network = fitted.predictor.network
        return cls(config, form, cases.labels, network, fitted.intensity, familiar, fitted.calibrated)

    @property
    def predictor(self) -> Predictor:
        """How the U-Net is asked."""
        assert self.calibrated is not None, "a grader does not segment"
        patch = self.form.patch
        return Predictor(
            self.network, patch, self.config.inference_of(len(patch)), self.calibrated.temperature
        )

    def place(self, study: Study) -> Placed:
        """A study on the grid. Raises RequestError for one of another form than the training cases."""
        form, wanted = (len(study.shape), len(study.pixels)), (len(self.form.patch), self.form.num_channels)
        if form != wanted:
            raise RequestError(
                f"Expected {described(wanted)}, as in training. Received {described(form)}: convert it."
            )
        frame, image = placed(study, self.config.image, self.form.spacing_mm)
        fingerprint = Fingerprint.of(study)
        transfer = self.intensity.transfer(fingerprint, study.modality)
        return Placed(frame, image.numpy(), fingerprint, transfer)

    def find(self, study: Study) -> Found:
        """Where the structures are, at the study's own size. Raises RequestError as `place` does."""
        return self.find_placed(self.place(study))

    def find_placed(self, seen: Placed) -> Found:
        """`find` for what is on the grid already."""
        return self.predictor.find(seen.image, seen.transfer, seen.frame)

    def grade(self, seen: Placed) -> np.ndarray:
        """Probability of each grade, float64 of shape (grades,)."""
        assert isinstance(self.network, Grader), "a U-Net does not grade"
        image = scaled(torch.from_numpy(seen.image)[None], torch.from_numpy(seen.transfer)[None])
        found = mirrored_probabilities(self.network, image.contiguous(memory_format=channels_last(2)))
        probabilities: np.ndarray = found[0].double().numpy()
        return probabilities

    def rows(self, study: Study, seen: Placed, found: Found, mask_file: str) -> Iterator[dict[str, Any]]:
        """What is said of each structure of a study, in the columns of `segmentation_results`."""
        unit = size_unit(study.spacing_mm)
        names = {2: "area_mm2", 3: "volume_ml"}
        sizes: dict[str, float | None] = dict.fromkeys(names.values())
        reason = self.refer_reason(seen, found)
        for number, name in enumerate(self.labels.names, start=1):
            is_there = found.mask == number
            num_pixels = int(np.count_nonzero(is_there))
            own = {} if study.spacing_mm is None else {names[len(study.shape)]: num_pixels * unit}
            yield {
                "case": study.case,
                "structure": name,
                "patient": study.patient,
                "mask_file": mask_file,
                "num_pixels": num_pixels,
                **sizes,
                **own,
                "num_components": len(components(is_there)[1]) if num_pixels else 0,
                "confidence": float(found.confidence[number - 1]),
                "grade": None,
                "referable_probability": None,
                "refer": reason is not None,
                "refer_reason": reason,
            }

    def refer_reason(self, seen: Placed, found: Found) -> str | None:
        """Why a human must look at a study, None where that is not needed."""
        assert self.calibrated is not None, "a grader does not segment"
        reasons = [] if self.familiar.has(seen.fingerprint, seen.transfer) else [UNLIKE]
        confidence, limit = float(found.confidence.min()), self.calibrated.refer_below
        if confidence < limit:
            reasons.insert(0, f"not sure enough (confidence {confidence:.2f}, below {limit:.2f})")
        return "; ".join(reasons) or None

    def grade_row(self, study: Study, seen: Placed, probabilities: np.ndarray) -> dict[str, Any]:
        """What is said of a graded study, in the columns of `segmentation_results`; probabilities: of each grade."""
        [grade], [share] = likeliest_grade(probabilities[None]), referable(probabilities[None], self.config)
        confidence, first = float(probabilities[grade]), self.config.evaluation.referable_from
        reasons = [] if self.familiar.has(seen.fingerprint, seen.transfer) else [UNLIKE]
        if confidence < _EVEN:
            reasons.insert(0, f"no grade is certain (grade {grade} has a probability of {confidence:.2f})")
        if grade >= first or share >= _EVEN:
            reasons.insert(
                0, f"probability {share:.2f} of grade {first} or more, which a specialist must see"
            )
        empty = ("mask_file", "num_pixels", "area_mm2", "volume_ml", "num_components")
        return {
            "case": study.case,
            "structure": IMAGE,
            "patient": study.patient,
            **dict.fromkeys(empty),
            "confidence": confidence,
            "grade": int(grade),
            "referable_probability": float(share),
            "refer": bool(reasons),
            "refer_reason": "; ".join(reasons) or None,
        }

    def tensors(self) -> dict[str, Tensor]:
        """The weights, each once: networks of MONAI know them by several names."""
        return {name: tensor.detach().contiguous() for name, tensor in _own_tensors(self.network).items()}

    def save(self, folder: Path) -> None:
        """Writes `config.json`, `model.safetensors` and `features/` into an existing folder."""
        (folder / "config.json").write_text(self.config.model_dump_json(indent=1), encoding="utf-8")
        save_file(self.tensors(), folder / _WEIGHTS)
        (folder / "features").mkdir(exist_ok=True)
        self.save_features(folder / "features")

    def save_features(self, folder: Path) -> None:
        """Writes all that is fitted beside the weights."""
        facts = {
            "form": asdict(self.form),
            "labels": self.labels.to_json(),
            "intensity": self.intensity.to_json(),
            "familiar": self.familiar.to_json(),
            "calibrated": None if self.calibrated is None else self.calibrated.to_json(),
        }
        (folder / _FACTS).write_text(json.dumps(facts, indent=1), encoding="utf-8")

    @classmethod
    def load(cls, folder: Path, version: str = "not registered") -> "Scorer":
        """Reads what `save` wrote; the folder of a verified bundle has the same files.

        Raises RequestError for a folder that does not hold it whole.
        """
        config = read_config(folder, MedicalConfig)
        try:
            facts = json.loads((folder / "features" / _FACTS).read_text(encoding="utf-8"))
            form = _form(facts["form"])
            scorer = cls(
                config,
                form,
                Labels.from_json(facts["labels"]),
                _network(config, form, len(facts["labels"]["names"])),
                Intensity.from_json(facts["intensity"]),
                Familiar.from_json(facts["familiar"]),
                None if facts["calibrated"] is None else Calibrated(**facts["calibrated"]),
                version,
            )
            _fill(scorer.network, load_file(folder / _WEIGHTS))
        except (OSError, SafetensorError, RuntimeError, KeyError, TypeError, ValueError) as error:
            reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
            raise RequestError(
                f"Expected the weights and facts of a segmentation model in {folder.name}. Received: {reason} "
                "Train it again."
            ) from error
        return scorer

    @classmethod
    def from_bundle(cls, bundle: "Bundle", version: str) -> "Scorer":
        """The scorer of a published, verified bundle."""
        return cls.load(bundle.folder, version)


def _form(document: Mapping[str, Any]) -> Form:
    spacing = document["spacing_mm"]
    return Form(
        int(document["num_channels"]),
        tuple(map(int, document["patch"])),
        None if spacing is None else tuple(map(float, spacing)),
        int(document["num_grades"]),
    )


def _network(config: MedicalConfig, form: Form, num_structures: int) -> nn.Module:
    """In the memory format of training, without weights; the random state stays as it was."""
    # what was learnt replaces pretrained weights, which may not be there any more
    bare = config.model_copy(update={"model": config.model.model_copy(update={"encoder_weights": None})})
    with torch.random.fork_rng(devices=[]):
        network: nn.Module = (
            new_grader(bare, form.num_channels, form.num_grades)
            if form.num_grades
            else new_segmenter(bare, form.num_channels, num_structures + 1, form.patch)
        )
    network.to(memory_format=channels_last(len(form.patch)))  # type: ignore[call-overload]
    return network.eval()


def _own_tensors(network: nn.Module) -> dict[str, Tensor]:
    return {**dict(network.named_parameters()), **dict(network.named_buffers())}


def _fill(network: nn.Module, tensors: dict[str, Tensor]) -> None:
    """Raises RuntimeError where tensors are missing, left over or of another shape."""
    if differing := set(tensors) ^ set(_own_tensors(network)):
        raise RuntimeError(f"{len(differing)} tensors are missing or unknown, {min(differing)} among them.")
    network.load_state_dict(tensors, strict=False)
