"""Every knob of medical segmentation, with its unit and its reason; presets are functions."""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from shared.orchestration.overrides import Section

_Spacing = Annotated[float, Field(gt=0, le=100)]
Window = Literal["soft_tissue", "lung", "bone", "brain"]


class DataConfig(Section):
    """Where images come from."""

    num_patients: int = Field(40, ge=2, le=10_000, description="patients that the generator makes")
    images_per_patient: int = Field(
        4, ge=1, le=100, description="generated images, or volumes, of each of them"
    )
    generated_size: int = Field(128, ge=32, le=1024, description="edge of a generated image, pixels")
    dimensions: Literal[2, 3] = Field(2, description="generate images or volumes")
    appearance: Literal["colour", "grey"] = Field(
        "colour", description="generate endoscopy or ultrasound-like images"
    )
    num_structures: Literal[1, 2] = Field(1, description="structures that are drawn in generated images")
    contrast: float = Field(
        0.5,
        gt=0,
        le=1,
        description="how much generated lesions differ from the tissue around, as a share of its brightness. At 0.5 "
        "the best threshold reaches a Dice of 0.16, colours of single pixels 0.33, a small U-Net after 120 steps 0.69",
    )
    subset: Literal["train_validation", "train_test"] = Field(
        "train_validation",
        description="folders of Kvasir-SEG: the one for training, and the one that is tested on",
    )
    columns: dict[str, str] | None = Field(
        None, description="contract name -> column of a user's own manifest, for example patient: subject"
    )
    patient_pattern: str | None = Field(
        None,
        min_length=1,
        max_length=200,
        description="regular expression with one group, the patient, that is looked for in the path of each image",
    )
    structures: dict[str, int] | None = Field(
        None,
        description="name -> value in the masks; not needed where masks are 0 and 1, or 0 and 255, and for known sets",
    )
    max_pixels: int = Field(
        150_000_000,
        ge=1,
        le=178_000_000,
        description="largest picture that is decoded, pixels; Pillow itself refuses more than 178 million",
    )
    max_voxels: int = Field(500_000_000, ge=1, description="largest volume that is decoded, voxels")


class ImageConfig(Section):
    """From files to what networks see."""

    size: int = Field(
        256, ge=32, le=2048, multiple_of=32, description="edge of the square that pictures fit in, pixels"
    )
    scale: Literal["fit", "own"] = Field(
        "fit",
        description="pictures: fit, scaled to the square; own, at their own scale, in squares drawn in training that "
        "cross the picture in inference, for structures that would become too small",
    )
    spacing_mm: tuple[_Spacing, _Spacing, _Spacing] | None = Field(
        None,
        description="spacing of volumes (slice, row, column), mm; the median of the training cases if not given",
    )
    window: Window | tuple[float, float] | None = Field(
        None,
        description="CT values shown, HU, by name or as (low, high); from the training structures if not given",
    )

    @model_validator(mode="after")
    def _rising(self) -> "ImageConfig":
        if isinstance(self.window, tuple) and self.window[0] >= self.window[1]:
            raise ValueError(f"Expected a window from low to high. Received {self.window}.")
        return self


class ProtocolConfig(Section):
    """How training and test are kept apart."""

    num_folds: int = Field(5, ge=2, le=50, description="folds of whole patients")
    min_correlation: float = Field(
        0.95,
        gt=0,
        le=1,
        description="grey thumbnails this alike count as one scene, so one patient; six pairs of Kvasir-SEG are: of "
        "three looked at two show one scene, and none of three looked at below",
    )
    turned_copies: bool = Field(False, description="look for copies that are mirrored or turned, too")
    calibration_share: float = Field(
        0.15,
        gt=0,
        lt=0.9,
        description="share of the training cases, whole patients, that fix probabilities and whom a human must see",
    )


class AugmentConfig(Section):
    """Other views of the training images; all in one resampling."""

    flip: float = Field(1.0, ge=0, le=1, description="share of images for which each axis may be mirrored")
    rotation_degrees: float = Field(90.0, ge=0, le=180, description="largest turn to either side")
    scale: float = Field(1.4, ge=1, le=4, description="largest factor of size, up or down")
    shift: float = Field(0.2, ge=0, le=1, description="largest shift, as a share of half the image")
    elastic: float = Field(
        0.03, ge=0, le=0.5, description="smooth deformation, standard deviation at its knots, same unit"
    )
    brightness: float = Field(
        0.3, ge=0, le=5, description="largest shift of brightness, standard deviations of images"
    )
    contrast: float = Field(0.3, ge=0, le=2, description="largest factor of contrast, as a logarithm")
    colour: float = Field(0.2, ge=0, le=5, description="largest shift of each channel, standard deviations")
    noise: float = Field(0.1, ge=0, le=5, description="largest noise of a pixel, standard deviations")


class ModelConfig(Section):
    """The networks."""

    encoder: str = Field(
        "resnet34",
        pattern=r"^[A-Za-z0-9_.\-]{1,100}$",
        description="encoder of pictures, of timm or segmentation-models-pytorch",
    )
    encoder_weights: str | None = Field(
        None,
        max_length=1000,
        description="none, imagenet (needs the network), or a local file of safetensors",
    )
    width: int = Field(16, ge=2, le=128, description="channels of the decoder's finest level, pictures")
    deep_supervision: bool = Field(False, description="learn from coarser levels too")


class TrainingConfig(Section):
    """Optimisation; passed to `shared.training`."""

    epochs: int = Field(100, ge=1, le=100_000, description="passes over the training cases")
    min_steps: int = Field(100, ge=1, le=10_000_000, description="optimiser steps at least, for few pictures")
    batch_size: int = Field(8, ge=1, le=4096, description="pictures, or patches of volumes, a step")
    learning_rate: float = Field(2e-3, gt=0, le=1, description="peak of the one-cycle schedule, pictures")
    weight_decay: float = Field(1e-2, ge=0, le=10, description="decoupled weight decay (AdamW)")
    loss: Literal["dice_ce", "focal_tversky"] = Field(
        "dice_ce", description="Dice + cross-entropy, or focal Tversky for small structures"
    )
    frozen_epochs: int = Field(
        0,
        ge=0,
        le=10_000,
        description="epochs in which pretrained encoder weights stay as they are, before all learn",
    )
    unfrozen_rate: float = Field(
        0.1, gt=0, le=1, description="learning rate after those epochs, as a share of learning_rate"
    )
    foreground_share: float = Field(
        0.33,
        ge=0,
        le=1,
        description="patches drawn around a structure, as nnU-Net does, where images exceed what is seen at once",
    )
    precision: Literal["auto", "fp32", "bf16"] = Field(
        "auto", description="bf16 trains U-Nets nearly twice as fast on CPUs that have it"
    )
    checkpoint_every_seconds: float = Field(
        60.0, ge=0, description="seconds between checkpoints, from which a killed run continues"
    )


class VolumeConfig(Section):
    """What is otherwise for volumes: few cases of many voxels, in one orientation and often cut to one organ."""

    patch: tuple[int, int, int] | None = Field(
        None, description="voxels of a training patch; the median size, at most 64 an axis, if not given"
    )
    width: int = Field(8, ge=2, le=128, description="channels of the finest level")
    learning_rate: float = Field(4e-3, gt=0, le=1, description="peak of the one-cycle schedule")
    min_steps: int = Field(400, ge=1, le=10_000_000, description="optimiser steps at least")
    augment: AugmentConfig = Field(
        AugmentConfig(flip=0, rotation_degrees=15, scale=1.15, shift=0.05, elastic=0.02),
        description="small changes, no mirroring: what lies left stays left",
    )
    views: Literal[1, 2, 4] = Field(
        1, description="mirrored views whose mean is taken; more than 1 only where training mirrors, too"
    )


class InferenceConfig(Section):
    """From an image to a mask."""

    views: Literal[1, 2, 4] = Field(
        4, description="mirrored views whose mean is taken, and whose differences say how sure it is"
    )
    overlap: float = Field(
        0.5, ge=0, lt=1, description="share of neighbouring windows that is common, volumes"
    )
    largest_component: bool = Field(
        False, description="keep only the largest connected part of each structure"
    )
    fill_holes: bool = Field(False, description="fill holes of each structure")
    min_pixels: int = Field(0, ge=0, description="smaller connected parts are dropped, pixels or voxels")
    refer_share: float = Field(
        0.1,
        ge=0,
        lt=1,
        description="share of cases like the calibration ones that a human must see, least sure first",
    )


class EvaluationConfig(Section):
    """What is measured and against what."""

    num_bootstraps: int = Field(
        1000, ge=50, le=100_000, description="resamples of patients behind each interval"
    )
    referable_from: int = Field(
        2, ge=1, le=100, description="grading: from this grade on a patient must be seen by a specialist"
    )
    tolerance_mm: float = Field(
        2.0,
        gt=0,
        le=100,
        description="surface distance that counts as right, mm, or pixels where spacing is unknown",
    )


class ExplanationConfig(Section):
    """What is explained and how it is checked."""

    num_checked: int = Field(
        20, ge=10, le=100_000, description="test cases on which explanations are checked"
    )


class MedicalConfig(Section):
    """The whole pipeline. `seed` decides every random choice."""

    preset: str = "quick"
    seed: int = Field(
        0, ge=0, lt=2**31, description="seed of generator, division, initial weights and resampling"
    )
    task: Literal["segmentation", "grading"] = Field(
        "segmentation", description="where the structure is, or which grade the image has"
    )
    data: DataConfig = DataConfig()
    image: ImageConfig = ImageConfig()
    protocol: ProtocolConfig = ProtocolConfig()
    augment: AugmentConfig = Field(AugmentConfig(), description="of pictures")
    model: ModelConfig = ModelConfig()
    training: TrainingConfig = TrainingConfig()
    volumes: VolumeConfig = VolumeConfig()
    inference: InferenceConfig = InferenceConfig()
    evaluation: EvaluationConfig = EvaluationConfig()
    explanation: ExplanationConfig = ExplanationConfig()

    def inference_of(self, dimensions: int) -> InferenceConfig:
        """How images of so many axes are segmented."""
        if dimensions == 2:
            return self.inference
        return self.inference.model_copy(update={"views": self.volumes.views})


def tiny() -> MedicalConfig:
    """Seconds: for tests. Everything runs, nothing is estimated well."""
    return MedicalConfig(
        preset="tiny",
        data=DataConfig(num_patients=12, images_per_patient=2, generated_size=64, contrast=0.9),
        image=ImageConfig(size=64),
        protocol=ProtocolConfig(num_folds=2),
        model=ModelConfig(encoder="test_resnet", width=4),
        training=TrainingConfig(epochs=2, min_steps=16, learning_rate=4e-3),
        volumes=VolumeConfig(width=4, min_steps=25),
        inference=InferenceConfig(views=2),
        evaluation=EvaluationConfig(num_bootstraps=100),
        explanation=ExplanationConfig(num_checked=10),
    )


def quick() -> MedicalConfig:
    """Under a minute on two CPU cores; the default."""
    return MedicalConfig(
        data=DataConfig(generated_size=96),
        image=ImageConfig(size=96),
        protocol=ProtocolConfig(num_folds=2),
        model=ModelConfig(encoder="test_resnet", width=8),
        training=TrainingConfig(epochs=6, min_steps=120, learning_rate=8e-3),
        volumes=VolumeConfig(min_steps=120),
        evaluation=EvaluationConfig(num_bootstraps=500),
    )


def full() -> MedicalConfig:
    """The real thing."""
    return MedicalConfig(
        preset="full",
        data=DataConfig(num_patients=200),
        image=ImageConfig(size=128),
        model=ModelConfig(encoder="resnet18"),
        training=TrainingConfig(epochs=60, learning_rate=1e-3, precision="bf16"),
        evaluation=EvaluationConfig(num_bootstraps=2000),
        explanation=ExplanationConfig(num_checked=60),
    )


PRESETS = {"tiny": tiny, "quick": quick, "full": full}
