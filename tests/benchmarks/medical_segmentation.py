"""Medical segmentation: training beside a bare loop in its best mode, the wait for data, inference, a large picture.

    python -m tests.benchmarks.medical_segmentation [--rounds 5] [--threads 2] [--cpu-time] [--size 128] [--steps 8]
        [--only training|waiting|inference|picture] [--json]

Training: a U-Net on a ResNet-34, random weights, batches of 8 pictures. The bare loop keeps scaled pictures in float32
and memory of channels last, trains in bf16 with a fused optimiser, and flips and turns whole batches, which costs
nearly nothing. `fit` does the same with the same loss; then the pipeline's own loss, on two channels; then its own
batches, from 8-bit pictures, with the whole augmentation of each picture. Waiting: how much of a step is gathering,
scaling and augmentation. Inference: one picture after another from the grid to its mask, with 1 and 4 views. Picture:
10,000 x 10,000 pixels in colour from decoded pixels to the mask at full size, in a process of its own; the peak counts
all beyond the decoded picture, once scaled to the grid and once at its own scale.

Contenders alternate, in a new order each round; the ratio is to the first of them in the same round. On a busy
machine --cpu-time with one thread counts the time that the process got. Needs Linux. Prints Markdown, median
(smallest to largest), or with --json one line a measurement.
"""

import argparse
import time
from collections.abc import Callable, Iterator
from functools import cache, partial

import numpy as np
import segmentation_models_pytorch as smp
import torch
from torch import Tensor, nn
from torch.nn import functional

from pipelines.medical_segmentation.augment import Augment
from pipelines.medical_segmentation.batches import PictureBatches
from pipelines.medical_segmentation.config import AugmentConfig, InferenceConfig, MedicalConfig, full
from pipelines.medical_segmentation.gather import placed
from pipelines.medical_segmentation.geometry import Frame
from pipelines.medical_segmentation.inference import Predictor
from pipelines.medical_segmentation.labels import Labels
from pipelines.medical_segmentation.losses import segmentation_loss
from pipelines.medical_segmentation.model import Segmenter
from pipelines.medical_segmentation.studies import Study
from pipelines.medical_segmentation.train import new_segmenter
from shared.training.batches import Batch, DeviceBatches
from shared.training.fit import fit
from shared.training.settings import FitSettings
from tests.benchmarks.fraud_detection import compared, parser_of, run_sections, seconds_of
from tests.benchmarks.recommender import Measured
from tests.benchmarks.recommender_memory import in_own_process, with_extra_peak

BATCH_SIZE, NUM_PICTURES = 8, 64
LEARNING_RATE = 1e-3
LARGE = 10_000
# Of the pictures that the pipeline holds: low, high, mean and deviation of each channel.
TRANSFER = np.array([[-np.inf] * 3, [np.inf] * 3, [127.0] * 3, [70.0] * 3], dtype=np.float32)


@cache
def pictures(size: int) -> tuple[Tensor, Tensor]:
    """8-bit pictures and masks of one structure."""
    random = np.random.default_rng(0)
    images = random.integers(0, 256, (NUM_PICTURES, 3, size, size), dtype=np.uint8)
    masks = (random.random((NUM_PICTURES, size, size)) > 0.7).astype(np.uint8)
    return torch.from_numpy(images), torch.from_numpy(masks)


def batches_of(size: int, augment: Augment | None) -> PictureBatches:
    images, masks = pictures(size)
    return PictureBatches(images, masks, torch.from_numpy(TRANSFER).repeat(NUM_PICTURES, 1, 1), augment)


@cache
def in_floats(size: int) -> tuple[Tensor, Tensor]:
    """The same scaled, channels last, as the bare loop has them."""
    images, masks = batches_of(size, None).gather(torch.arange(NUM_PICTURES))
    return images, masks.float()[:, None]


def usual_network() -> nn.Module:
    return smp.Unet("resnet34", encoder_weights=None, in_channels=3, classes=1).to(
        memory_format=torch.channels_last
    )


def turned(images: Tensor, masks: Tensor) -> tuple[Tensor, Tensor]:
    """A whole batch mirrored and turned alike: nearly free."""
    for axis in (3, 2):
        if torch.rand(()) < 0.5:
            images, masks = images.flip(axis), masks.flip(axis)
    times = int(torch.randint(4, ()))
    return (
        images.rot90(times, (2, 3)).contiguous(memory_format=torch.channels_last),
        masks.rot90(times, (2, 3)),
    )


def chosen_cases(num_steps: int) -> Tensor:
    return torch.cat(
        [torch.randperm(NUM_PICTURES) for _ in range(-(-num_steps * BATCH_SIZE // NUM_PICTURES))]
    )[: num_steps * BATCH_SIZE]


def train_bare(size: int, num_steps: int) -> None:
    images, masks = in_floats(size)
    network = usual_network().train()
    optimiser = torch.optim.AdamW(network.parameters(), lr=LEARNING_RATE, weight_decay=0.0, fused=True)
    for chosen in chosen_cases(num_steps).split(BATCH_SIZE):
        seen, drawn = turned(images[chosen], masks[chosen])
        with torch.autocast("cpu", torch.bfloat16):
            logits = network(seen)
        loss = functional.binary_cross_entropy_with_logits(logits.float(), drawn)
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        optimiser.step()


def train_by_fit(size: int, num_steps: int) -> None:
    images, masks = in_floats(size)

    def loss(network: nn.Module, batch: Batch) -> Tensor:
        seen, drawn = turned(images[batch["case"]], masks[batch["case"]])
        return functional.binary_cross_entropy_with_logits(network(seen).float(), drawn)

    run_fit(usual_network(), loss, num_steps)


def train_pipeline(size: int, num_steps: int, augment: Augment | None) -> None:
    """The pipeline's network, loss and batches; without augmentation the pictures are mirrored and turned as above."""
    source, loss_of = batches_of(size, augment), segmentation_loss("dice_ce")

    def loss(network: nn.Module, batch: Batch) -> Tensor:
        images, masks = source.gather(batch["case"])
        if augment is None:
            images, drawn = turned(images, masks[:, None])
            masks = drawn[:, 0]
        assert isinstance(network, Segmenter)
        return loss_of(network.all_levels(images), masks)

    network = new_segmenter(config(), 3, 2, (size, size)).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    run_fit(network, loss, num_steps)


def run_fit(network: nn.Module, loss: Callable[[nn.Module, Batch], Tensor], num_steps: int) -> None:
    """One epoch of so many steps, as the pipeline fits."""
    settings = FitSettings(
        epochs=1,
        learning_rate=LEARNING_RATE,
        weight_decay=0.0,
        monitor="train_loss",
        restore_best=False,
        device="cpu",
        precision="bf16",
    )
    data = {"case": torch.arange(num_steps * BATCH_SIZE) % NUM_PICTURES}
    fit(network, loss, DeviceBatches(data, BATCH_SIZE, seed=0), settings)


def config() -> MedicalConfig:
    """The default networks."""
    return full()


def training(options: argparse.Namespace) -> Iterator[Measured]:
    """Images a second."""
    size, steps = options.size, options.steps
    contenders = {
        "bare loop, channels last, bf16": partial(train_bare, size, steps),
        "fit, same network, loss and augmentation": partial(train_by_fit, size, steps),
        "pipeline, its loss and 8-bit batches, same augmentation": partial(train_pipeline, size, steps, None),
        "pipeline, whole augmentation": partial(train_pipeline, size, steps, Augment(AugmentConfig())),
    }
    yield from compared(
        {f"{size} px, {name}": (work, steps * BATCH_SIZE) for name, work in contenders.items()}, options
    )


def waiting(options: argparse.Namespace) -> Iterator[Measured]:
    """Of a training step of the pipeline, the share in which the network waits for its batch."""
    size, steps = options.size, options.steps
    clock = time.process_time if options.cpu_time else time.perf_counter
    full_augment = Augment(AugmentConfig())
    parts = {
        "gather and scale": batches_of(size, None),
        "gather, scale and augment": batches_of(size, full_augment),
    }
    train_pipeline(size, 2, full_augment)
    seconds: dict[str, list[float]] = {name: [] for name in ("whole", *parts)}
    for _ in range(options.rounds):
        seconds["whole"].append(seconds_of(partial(train_pipeline, size, steps, full_augment), clock) / steps)
        for name, source in parts.items():
            seconds[name].append(seconds_of(partial(gather_all, source, steps), clock) / steps)
    yield Measured(f"{size} px, a step of {BATCH_SIZE}", "ms", [1e3 * one for one in seconds["whole"]], [])
    for name in parts:
        shares = [part / whole for part, whole in zip(seconds[name], seconds["whole"], strict=True)]
        yield Measured(f"{size} px, of it {name}", "ms", [1e3 * one for one in seconds[name]], shares)


def gather_all(source: PictureBatches, num_steps: int) -> None:
    for chosen in chosen_cases(num_steps).split(BATCH_SIZE):
        source.gather(chosen)


def inference(options: argparse.Namespace) -> Iterator[Measured]:
    """Images a second, one after another; the ratio is to one view."""
    size = options.size
    image, frame = pictures(size)[0][0].numpy(), Frame.square((size, size), size)
    network = new_segmenter(config(), 3, 2, (size, size)).eval().to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    contenders = {}
    for views in (1, 4):
        predictor = Predictor(network, (size, size), InferenceConfig(views=views))
        contenders[f"{size} px, {views} {'view' if views == 1 else 'views'}"] = (
            partial(find_often, predictor, image, frame, options.steps),
            options.steps,
        )
    yield from compared(contenders, options)


def find_often(predictor: Predictor, image: np.ndarray, frame: Frame, times: int) -> None:
    for _ in range(times):
        predictor.find(image, TRANSFER, frame)


def picture(options: argparse.Namespace) -> Iterator[Measured]:
    """Seconds and extra peak of the large picture."""
    for scale in ("fit", "own"):
        if scale == "fit" or options.own_scale:
            seconds, extra = in_own_process(large_picture, scale, options.size, options.threads)
            name = f"{LARGE:,} x {LARGE:,} pixels, image.scale={scale}"
            yield Measured(name, "s", [seconds], [])
            yield Measured(f"{name}, beyond the picture itself", "MB", [extra / 1e6], [])


def large_picture(scale: str, size: int, threads: int) -> tuple[float, int]:
    """Seconds and extra peak bytes from decoded pixels to the mask at full size, one view."""
    torch.set_num_threads(threads)
    pixels = np.random.default_rng(0).integers(0, 256, (3, LARGE, LARGE), dtype=np.uint8)
    study = Study("large", "large", pixels, None, Labels.binary(), "RGB")
    image_config = config().image.model_copy(update={"scale": scale, "size": size})
    network = new_segmenter(config(), 3, 2, (size, size)).eval().to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    predictor = Predictor(network, (size, size), InferenceConfig(views=1))
    small = pictures(size)[0][0].numpy()
    predictor.find(
        small, TRANSFER, Frame.square((size, size), size)
    )  # what any first pass takes is there before

    def work() -> float:
        begin = time.perf_counter()
        frame, image = placed(study, image_config, None)
        found = predictor.find(image.numpy(), TRANSFER, frame)
        assert found.mask.shape == (LARGE, LARGE)
        return time.perf_counter() - begin

    return with_extra_peak(work)


SECTIONS = {"training": training, "waiting": waiting, "inference": inference, "picture": picture}


def main() -> None:
    parser = parser_of(__doc__, SECTIONS, threads=2)
    parser.add_argument("--size", type=int, default=128)
    parser.add_argument("--steps", type=int, default=8)
    parser.add_argument(
        "--own-scale", action="store_true", help="the large picture at its own scale, too: minutes"
    )
    run_sections(SECTIONS, parser)


if __name__ == "__main__":
    main()
