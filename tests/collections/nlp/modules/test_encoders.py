from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from seaspeak.collections.nlp.modules.huggingface import (
    build_encoder,
    family_of,
    get_lm_model,
    get_pretrained_lm_models_list,
)
from seaspeak.core.errors import ConfigError, DataError, FileMissingError

BERT = {
    "model_type": "bert",
    "vocab_size": 50,
    "hidden_size": 24,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 40,
    "max_position_embeddings": 20,
}
DISTILBERT = {
    "model_type": "distilbert",
    "vocab_size": 50,
    "dim": 24,
    "n_layers": 2,
    "n_heads": 4,
    "hidden_dim": 40,
    "max_position_embeddings": 20,
}
NATIVE = pytest.mark.parametrize("config", [BERT, {**BERT, "hidden_act": "gelu_new"}, DISTILBERT])


def peer(config: dict[str, Any]) -> Any:
    transformers = pytest.importorskip("transformers")
    torch.manual_seed(1)
    settings = {key: value for key, value in config.items() if key != "model_type"}
    return transformers.AutoModel.from_config(
        transformers.AutoConfig.for_model(config["model_type"], **settings)
    ).eval()


def batch() -> tuple[Tensor, Tensor, Tensor]:
    """Return ids, mask and token types of three sequences with 12, 7 and 1 tokens."""
    torch.manual_seed(2)
    mask = (torch.arange(12) < torch.tensor([12, 7, 1])[:, None]).long()
    return torch.randint(5, 50, (3, 12)), mask, (torch.arange(12) > 5).long().expand(3, 12)


def encode(encoder: Any, *inputs: Tensor) -> Tensor:
    names = ("input_ids", "attention_mask", "token_type_ids")
    with torch.inference_mode():
        encoded: Tensor = encoder(**dict(zip(names, inputs, strict=False))).last_hidden_states
    return encoded


@NATIVE
def test_native_encoders_have_the_keys_and_outputs_of_transformers(config: dict[str, Any]) -> None:
    theirs = peer(config)
    ours = build_encoder(config).eval()
    assert type(ours).__module__.startswith("seaspeak.collections.nlp.modules.")
    assert type(ours).__name__ != "HuggingFaceEncoder"
    assert {k: v.shape for k, v in ours.state_dict().items()} == {k: v.shape for k, v in theirs.state_dict().items()}
    ours.load_state_dict(theirs.state_dict())
    ids, mask, types = batch()
    more = {} if config["model_type"] == "distilbert" else {"token_type_ids": types}
    with torch.inference_mode():
        expected = theirs(input_ids=ids, attention_mask=mask, **more).last_hidden_state
        unmasked = theirs(input_ids=ids).last_hidden_state
    real = mask.bool()
    torch.testing.assert_close(encode(ours, ids, mask, types)[real], expected[real], rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(encode(ours, ids), unmasked, rtol=1e-4, atol=1e-5)


@NATIVE
def test_a_sequence_does_not_depend_on_its_neighbours(config: dict[str, Any]) -> None:
    torch.manual_seed(0)
    encoder = build_encoder(config).eval()
    ids, mask, types = batch()
    together = encode(encoder, ids, mask, types)
    for row, count in enumerate(mask.sum(1).tolist()):
        alone = encode(encoder, ids[row : row + 1, :count], mask[row : row + 1, :count], types[row : row + 1, :count])
        torch.testing.assert_close(together[row, :count], alone[0], rtol=1e-4, atol=1e-5)


@NATIVE
def test_training_reaches_every_weight_but_the_poolers(config: dict[str, Any]) -> None:
    torch.manual_seed(0)
    encoder = build_encoder(config).train()
    encoder(input_ids=batch()[0]).last_hidden_states.square().sum().backward()
    without = {name for name, weight in encoder.named_parameters() if weight.grad is None}
    assert without <= {"pooler.dense.weight", "pooler.dense.bias", "embeddings.token_type_embeddings.weight"}


@pytest.mark.parametrize("family", ["roberta", "albert", "electra"])
def test_other_families_run_on_transformers_with_their_own_keys(family: str) -> None:
    config = {**BERT, "model_type": family, "max_position_embeddings": 32}
    theirs = peer(config)
    ours = build_encoder(config).eval()
    assert set(ours.state_dict()) == set(theirs.state_dict())
    ours.load_state_dict(theirs.state_dict())
    ids, mask, _ = batch()
    with torch.inference_mode():
        expected = theirs(input_ids=ids, attention_mask=mask).last_hidden_state
    torch.testing.assert_close(encode(ours, ids, mask), expected)


def test_the_family_comes_from_the_configuration_or_the_name() -> None:
    assert family_of({}, "bert-base-uncased") == family_of({}, "/models/ours") == "bert"
    assert family_of({}, "distilbert-base-uncased") == "distilbert"
    assert family_of({}, "xlm-roberta-base") == "xlm-roberta"
    assert family_of({"num_hidden_groups": 1}) == "albert"
    assert family_of({"model_type": "bert"}, "roberta-base") == "bert"


@pytest.mark.parametrize("file", ["model.safetensors", "pytorch_model.bin"])
@pytest.mark.parametrize("prefix", ["", "bert.", "bert_model."])
def test_a_folder_gives_configuration_and_weights(file: str, prefix: str, tmp_path: Path) -> None:
    from safetensors.torch import save_file

    torch.manual_seed(3)
    encoder = build_encoder(BERT).eval()
    state = {prefix + name: tensor for name, tensor in encoder.state_dict().items() if "pooler" not in name}
    state["cls.predictions.bias"] = torch.zeros(50)
    (tmp_path / "config.json").write_text(json.dumps(BERT))
    if file == "model.safetensors":
        save_file(state, tmp_path / file)
    else:
        torch.save(state, tmp_path / file)
    loaded = get_lm_model(str(tmp_path)).eval()
    assert torch.equal(encode(loaded, *batch()), encode(encoder, *batch()))


def test_a_configuration_file_wins_over_a_dictionary(tmp_path: Path) -> None:
    (tmp_path / "encoder.json").write_text(json.dumps({**BERT, "hidden_size": 8}))
    encoder = get_lm_model("bert-base-uncased", config_dict=BERT, config_file=tmp_path / "encoder.json")
    assert encoder.hidden_size == 8
    assert get_lm_model("bert-base-uncased", config_dict=BERT, config_file=tmp_path / "gone.json").hidden_size == 24


def test_what_is_missing_is_said_in_one_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(FileMissingError, match=r"(?s)has no config\.json.*an empty folder.*model\.safetensors"):
        get_lm_model(str(tmp_path))
    (tmp_path / "config.json").write_text(json.dumps(BERT))
    with pytest.raises(FileMissingError, match=r"has no model\.safetensors or pytorch_model\.bin"):
        get_lm_model(str(tmp_path))
    (tmp_path / "config.json").write_text("{")
    with pytest.raises(ConfigError, match="is not JSON"):
        get_lm_model(str(tmp_path))
    (tmp_path / "config.json").write_text("[]")
    with pytest.raises(ConfigError, match="is not a JSON object"):
        get_lm_model(str(tmp_path))
    with pytest.raises(FileMissingError, match=r"the weights .*gone\.bin do not exist"):
        get_lm_model("bert-base-uncased", config_dict=BERT, checkpoint_file=tmp_path / "gone.bin")
    pytest.importorskip("transformers")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(FileMissingError, match=r"(?s)'no/such' is no folder.*copy those files into a folder"):
        get_lm_model("no/such")


def test_what_cannot_be_built_is_refused() -> None:
    with pytest.raises(ConfigError, match="Megatron's own form"):
        get_lm_model("megatron-bert-345m-uncased")
    with pytest.raises(ConfigError, match="heads do not divide its width"):
        build_encoder({**BERT, "num_attention_heads": 5})
    with pytest.raises(ConfigError, match="relative positions"):
        build_encoder({**BERT, "position_embedding_type": "relative_key"})
    with pytest.raises(ConfigError, match="activation is not known"):
        build_encoder({**BERT, "hidden_act": "swoosh"})
    with pytest.raises(DataError, match="longer than the encoder has positions"):
        build_encoder(BERT)(input_ids=torch.zeros(1, 21, dtype=torch.long))
    pytest.importorskip("transformers")
    with pytest.raises(ConfigError, match="no encoder of the family 'no-such'"):
        build_encoder({"model_type": "no-such"})
    assert "bert-base-uncased" in get_pretrained_lm_models_list()
    assert "camembert-base" in get_pretrained_lm_models_list(include_external=True)


def test_a_native_encoder_loads_no_transformers() -> None:
    code = (
        "import sys, torch; from seaspeak.collections.nlp.modules.huggingface import build_encoder;"
        "build_encoder({'hidden_size': 8, 'num_attention_heads': 2, 'num_hidden_layers': 1})"
        "(input_ids=torch.ones(1, 3, dtype=torch.long));"
        "print({'transformers', 'tokenizers', 'huggingface_hub', 'lightning'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"
