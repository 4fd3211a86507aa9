"""Training: a killed one goes on to the same weights, and pretrained encoders from folders learn in stages."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from pipelines.social_sentiment import train
from pipelines.social_sentiment.config import ModelConfig, SentimentConfig, TrainingConfig
from pipelines.social_sentiment.train import Trained, Trainer, logits_of, pretrained_tokens
from shared.errors import RequestError

WORDS = ("good", "bad", "so", "not", "really", "never", "phone", "bank")
TEXTS = [f"{first} {second} {third}" for first in WORDS for second in WORDS for third in ("today", "[URL]")]
LABELS = np.array([(2 if "good" in text else 0 if "bad" in text else 1) for text in TEXTS])
MODEL = ModelConfig(vocabulary=300, width=16, layers=1, heads=2, max_length=16)
CONFIG = SentimentConfig(
    model=MODEL,
    training=TrainingConfig(epochs=4, tokens_per_batch=128, learning_rate=1e-2, checkpoint_every_seconds=0),
)


class Killed(BaseException):
    """As if the power had gone."""


def fitted(config: SentimentConfig, folder: Path | None = None, seed: int = 0) -> Trained:
    return Trainer(config, folder).fit(TEXTS, LABELS, 3, seed=seed, name="network")


def weights(trained: Trained) -> bytes:
    return b"".join(tensor.numpy().tobytes() for tensor in trained.network.state_dict().values())


def killed_at(monkeypatch: pytest.MonkeyPatch, config: SentimentConfig, folder: Path, call: int) -> None:
    """Trains until the loss is asked for so many times."""
    calls, loss = [0], train._Loss.__call__

    def counted(self, network, batch):
        calls[0] += 1
        if calls[0] == call:
            raise Killed
        return loss(self, network, batch)

    with monkeypatch.context() as patch:
        patch.setattr(train._Loss, "__call__", counted)
        with pytest.raises(Killed):
            fitted(config, folder)


@pytest.mark.parametrize("call", [2, 20], ids=["at-once", "late"])
def test_training_killed_anywhere_continues_to_the_same_weights(monkeypatch, tmp_path, call):
    killed_at(monkeypatch, CONFIG, tmp_path, call)
    again = fitted(CONFIG, tmp_path)
    assert again.record["resumed_from_step"] == call - 1
    assert weights(again) == weights(fitted(CONFIG))


def test_the_network_learns_what_the_words_say_and_seeds_differ():
    trained = fitted(CONFIG)
    logits = logits_of(trained.network, trained.tokens, TEXTS)
    assert (logits.argmax(1) == LABELS).mean() > 0.9
    assert weights(fitted(CONFIG, seed=1)) != weights(trained)
    assert trained.record["tokens_per_second"] > trained.record["samples_per_second"]
    assert trained.encoder is None


def test_logits_depend_on_no_batch():
    trained = fitted(CONFIG)
    whole = logits_of(trained.network, trained.tokens, TEXTS)
    small = logits_of(trained.network, trained.tokens, TEXTS, tokens_per_batch=16)
    np.testing.assert_allclose(small, whole, atol=1e-5)


@pytest.fixture(scope="module")
def bert(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a small BERT and its tokenizer, as people download them."""
    from tokenizers import Tokenizer, models, pre_tokenizers, processors
    from transformers import BertConfig, BertModel, PreTrainedTokenizerFast

    folder = tmp_path_factory.mktemp("bert")
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]"]
    names = [*special, "today", *WORDS]
    tokenizer = Tokenizer(models.WordLevel({name: number for number, name in enumerate(names)}, "[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    fast = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, pad_token="[PAD]", unk_token="[UNK]", model_max_length=20
    )
    fast.save_pretrained(folder)
    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=len(names),
        hidden_size=16,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=32,
        max_position_embeddings=20,
    )
    BertModel(config).save_pretrained(folder)
    return folder


def pretrained(bert: Path, **training: object) -> SentimentConfig:
    knobs = {"epochs": 2, "tokens_per_batch": 256, "pretrained_rate": 1e-3, **training}
    return SentimentConfig(
        model=ModelConfig(encoder=str(bert), max_length=64), training=TrainingConfig.model_validate(knobs)
    )


def encoder_weights(network: torch.nn.Module) -> dict[str, torch.Tensor]:
    """Without the pooler, which nothing reads."""
    return {name: tensor.clone() for name, tensor in network.state_dict().items() if "pooler" not in name}


def test_a_frozen_encoder_stays_as_it_was_until_all_learn(bert, monkeypatch):
    from transformers import AutoModel

    stages, stage = [], Trainer._stage

    def watched(self, network, batches, epochs, rate, seed, name):
        result = stage(self, network, batches, epochs, rate, seed, name)
        stages.append((epochs, encoder_weights(network.encoder.network), network.head.weight.clone()))
        return result

    monkeypatch.setattr(Trainer, "_stage", watched)
    fitted(pretrained(bert, frozen_epochs=1))
    before = encoder_weights(AutoModel.from_pretrained(bert))
    (first_epochs, frozen, head), (second_epochs, after, later_head) = stages
    assert (first_epochs, second_epochs) == (1, 2)
    assert all(torch.equal(frozen[name], before[name]) for name in before)
    assert not all(torch.equal(after[name], before[name]) for name in before)
    assert not torch.equal(head, later_head)


def test_a_pretrained_encoder_learns_in_stages_and_lower_layers_move_less(bert):
    from transformers import AutoModel

    before = encoder_weights(AutoModel.from_pretrained(bert))

    def moved(decay: float) -> float:
        trained = fitted(pretrained(bert, frozen_epochs=1, layer_decay=decay, weight_decay=0))
        after = encoder_weights(trained.network.encoder.network)
        name = "embeddings.position_embeddings.weight"
        return float((after[name] - before[name]).abs().max())

    assert 0 < moved(0.1) < 0.2 * moved(1.0)


def test_a_killed_pretrained_training_continues_in_its_stage(bert, monkeypatch, tmp_path):
    config = pretrained(bert, frozen_epochs=1, checkpoint_every_seconds=0)
    steps = fitted(config).record["steps"]
    killed_at(monkeypatch, config, tmp_path, steps + 2)
    again = fitted(config, tmp_path)
    assert weights(again) == weights(fitted(config))


def test_a_pretrained_network_is_rebuilt_from_what_a_bundle_holds(bert):
    trained = fitted(pretrained(bert))
    config = pretrained(Path("gone"))
    described = json.loads(json.dumps(trained.encoder))
    again = train.rebuilt(config, trained.tokens, described, 3)
    again.load_state_dict(trained.network.state_dict())
    logits = [logits_of(each.eval(), trained.tokens, TEXTS) for each in (trained.network, again)]
    np.testing.assert_array_equal(*logits)


def test_posts_are_cut_at_the_length_that_the_encoder_was_made_for(bert):
    assert pretrained_tokens(str(bert), 64).max_length == 20
    trained = fitted(pretrained(bert))
    assert np.isfinite(logits_of(trained.network, trained.tokens, ["good " * 500])).all()


def test_a_folder_without_a_tokenizer_is_a_wrong_request(bert, tmp_path):
    for name in ("config.json", "model.safetensors"):
        (tmp_path / name).write_bytes((bert / name).read_bytes())
    with pytest.raises(RequestError, match="okenizer"):
        fitted(pretrained(tmp_path))


def test_the_own_encoder_imports_no_pretrained_library():
    code = (
        "import sys; from pipelines.social_sentiment.train import Trainer; "
        "from pipelines.social_sentiment.config import tiny; "
        "Trainer(tiny()).fit(['a b', 'c d'] * 4, __import__('numpy').arange(8) % 2, 2, seed=0, name='n'); "
        "assert 'transformers' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=120)
