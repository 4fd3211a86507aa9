"""Social-media sentiment: training beside bare loops, scoring of one post and of many, explanations.

    python -m tests.benchmarks.social_sentiment [--rounds 5] [--cpu-time] [--only training|scoring|explanations]
        [--budget 1024] [--quick] [--json]

Training: a BERT of 6 layers, 384 wide with 12 heads and a vocabulary of 30,522, on sequences as long as tweets
(log-normal, median 22 tokens, 95 % below 45), AdamW with gradients clipped. The bare loop has batches of a budget of
tokens that are padded once and ahead of time; `fit` draws its batches anew each epoch. `--budget` are tokens a batch.
Scoring and explanations: from posts as they were written, with the network of the preset quick and with that BERT, both
untrained, as weights change no speed. Explanations have the steps that their paths need.

Contenders alternate, in a new order each round; the ratio is to the first of them in the same round. On a busy
machine --cpu-time with one thread counts the time that the process got. Prints Markdown, median (smallest to largest),
or with --json one line a measurement. --quick takes a tenth of the sequences and posts.
"""

import argparse
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache, partial

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional
from transformers import BertConfig, BertForSequenceClassification, BertModel

from pipelines.social_sentiment.batches import TokenBatches
from pipelines.social_sentiment.calibrate import Calibration
from pipelines.social_sentiment.config import SentimentConfig, quick
from pipelines.social_sentiment.explainer import Explainer
from pipelines.social_sentiment.generator import generate
from pipelines.social_sentiment.model import Classifier, HubEncoder
from pipelines.social_sentiment.schema import LABELS
from pipelines.social_sentiment.score import Scorer
from pipelines.social_sentiment.text import prepare
from pipelines.social_sentiment.tokens import Encoded, Tokens
from pipelines.social_sentiment.train import new_own
from shared.training.batches import Batch
from shared.training.fit import fit
from shared.training.settings import FitSettings, Precision
from tests.benchmarks.fraud_detection import Work, clock_of, compared, parser_of, run_sections, seconds_of
from tests.benchmarks.recommender import Measured

NUM_SEQUENCES, NUM_POSTS, NUM_EXPLAINED, NUM_REQUESTS = 1920, 4000, 100, 200
VOCABULARY, LEARNING_RATE = 30_522, 5e-5
MEDIAN_TOKENS, P95_TOKENS, MOST_TOKENS = 22, 45, 128
PRECISIONS: tuple[Precision, ...] = ("fp32", "bf16")


@dataclass(frozen=True, eq=False)
class Sequences:
    """Random tokens with labels."""

    encoded: Encoded
    labels: np.ndarray


@cache
def sequences(number: int) -> Sequences:
    random = np.random.default_rng(0)
    spread = np.log(P95_TOKENS / MEDIAN_TOKENS) / 1.645
    drawn = np.round(random.lognormal(np.log(MEDIAN_TOKENS), spread, number))
    lengths = np.clip(drawn, 4, MOST_TOKENS).astype(np.int64)
    ids = random.integers(1000, 30_000, lengths.sum()).astype(np.int32)
    encoded = Encoded(ids, np.concatenate([[0], np.cumsum(lengths)]))
    return Sequences(encoded, random.integers(0, len(LABELS), number))


def bert_config(vocabulary: int = VOCABULARY) -> BertConfig:
    return BertConfig(
        vocab_size=vocabulary,
        hidden_size=384,
        num_hidden_layers=6,
        num_attention_heads=12,
        intermediate_size=1536,
        num_labels=len(LABELS),
    )


def bert_classifier(vocabulary: int = VOCABULARY) -> Classifier:
    network = BertModel(bert_config(vocabulary), add_pooling_layer=False)
    return Classifier(HubEncoder(network), len(LABELS), 0.1)


@cache
def padded_batches(number: int, budget: int) -> list[tuple[Tensor, Tensor, Tensor]]:
    """Ids, mask and labels, as many sequences as a budget of tokens holds, shortest first."""
    encoded, labels = sequences(number).encoded, sequences(number).labels
    parts: list[list[int]] = [[]]
    for row in np.argsort(encoded.lengths, kind="stable").tolist():
        if parts[-1] and encoded.lengths[row] * (len(parts[-1]) + 1) > budget:
            parts.append([])
        parts[-1].append(row)
    batches = []
    for rows in parts:
        posts = [torch.from_numpy(encoded.post(row)).long() for row in rows]
        ids = nn.utils.rnn.pad_sequence(posts, batch_first=True)
        batches.append((ids, (ids > 0).long(), torch.from_numpy(labels[rows])))
    return batches


def train_bare(number: int, budget: int, precision: Precision) -> None:
    """One epoch over batches that are ready."""
    network = BertForSequenceClassification(bert_config()).train()
    optimiser = torch.optim.AdamW(network.parameters(), lr=LEARNING_RATE, fused=True)
    batches = padded_batches(number, budget)
    for place in torch.randperm(len(batches)).tolist():
        ids, mask, labels = batches[place]
        with torch.autocast("cpu", torch.bfloat16, enabled=precision == "bf16"):
            logits = network(input_ids=ids, attention_mask=mask).logits
        optimiser.zero_grad(set_to_none=True)
        functional.cross_entropy(logits.float(), labels).backward()
        nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimiser.step()


def token_batches(number: int, budget: int) -> TokenBatches:
    found = sequences(number)
    return TokenBatches(found.encoded, found.labels, pad_id=0, budget=budget, seed=0)


def train_by_fit(number: int, budget: int, precision: Precision) -> None:
    def loss(network: nn.Module, batch: Batch) -> Tensor:
        logits: Tensor = network(batch["ids"], batch.get("mask"))
        return functional.cross_entropy(logits.float(), batch["label"])

    settings = FitSettings(
        epochs=1,
        learning_rate=LEARNING_RATE,
        clip_norm=1.0,
        monitor="train_loss",
        restore_best=False,
        device="cpu",
        precision=precision,
        tier="eager",
    )
    fit(bert_classifier(), loss, token_batches(number, budget), settings)


def training(options: argparse.Namespace) -> Iterator[Measured]:
    """An epoch with both precisions, and how much of it was padding."""
    number = NUM_SEQUENCES // (10 if options.quick else 1)
    contenders: dict[str, tuple[Work, int]] = {}
    for precision in PRECISIONS:
        contenders[f"bare loop, {precision}"] = partial(train_bare, number, options.budget, precision), number
        contenders[f"fit, {precision}"] = partial(train_by_fit, number, options.budget, precision), number
    yield from compared(contenders, options)
    share = token_batches(number, options.budget).padding_share
    yield Measured("fit, padding", "% of the tokens, at most", [100 * share], [])


@cache
def texts() -> list[str]:
    return generate(NUM_POSTS, 60, 0)[0]["text"].to_list()


@cache
def scorers() -> dict[str, Scorer]:
    """Untrained networks with a tokenizer learnt from the posts."""
    config: SentimentConfig = quick()
    tokens = Tokens.learn(prepare(texts(), config.text), config.model.vocabulary, config.model.max_length)
    networks = {
        "own network, 2 layers, 64 wide": new_own(config, tokens.vocabulary, len(LABELS)),
        "BERT, 6 layers, 384 wide": bert_classifier(tokens.vocabulary),
    }
    calibration = Calibration.neutral(len(LABELS))
    return {
        name: Scorer(config, LABELS, network.eval(), tokens, None, calibration)
        for name, network in networks.items()
    }


def scoring(options: argparse.Namespace) -> Iterator[Measured]:
    """Many posts at once, and one."""
    clock, smaller = clock_of(options.cpu_time), 10 if options.quick else 1
    posts = texts()[: NUM_POSTS // smaller]
    for name, scorer in scorers().items():
        scorer.logits(posts[:10])
        values = [
            len(posts) / seconds_of(lambda scorer=scorer: scorer.logits(posts), clock)  # type: ignore[misc]
            for _ in range(options.rounds)
        ]
        yield Measured(f"{name}, many posts", "posts/s", values, [])
        times = [
            1e3 * seconds_of(partial(scorer.logits, [post]), clock)
            for post in posts[: NUM_REQUESTS // smaller]
        ]
        for percent in (50, 95):
            yield Measured(f"{name}, one post, p{percent}", "ms", [float(np.percentile(times, percent))], [])


def explanations(options: argparse.Namespace) -> Iterator[Measured]:
    """Integrated gradients by words, of posts of many lengths."""
    clock = clock_of(options.cpu_time)
    for name, scorer in scorers().items():
        posts = scorer.prepared(texts()[: NUM_EXPLAINED // (10 if options.quick else 1)])
        work = partial(Explainer.of(scorer).explain, posts)
        values = [len(posts) / seconds_of(work, clock) for _ in range(options.rounds)]
        yield Measured(name, "explanations/s", values, [])


SECTIONS = {"training": training, "scoring": scoring, "explanations": explanations}


if __name__ == "__main__":
    parser = parser_of(__doc__, SECTIONS)
    parser.add_argument("--budget", type=int, default=1024)
    parser.add_argument("--quick", action="store_true")
    run_sections(SECTIONS, parser)
