"""Encoders of Hugging Face's formats: by name, from a folder, or around the weights of an archive.

`get_lm_model` reads configuration and weights itself. BERT and DistilBERT run on our own code, so that neither
transformers nor a hub client is loaded; every other family of BERT's kind runs on transformers. The family comes from
the configuration, never from the network, and a configuration that is given is enough: nothing is fetched to build an
encoder whose weights an archive has.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf
from torch import nn

from seaspeak.collections.nlp.modules.bert import BertEncoder
from seaspeak.collections.nlp.modules.distilbert import DistilBertEncoder
from seaspeak.collections.nlp.modules.encoder import Encoded, Ids, OptionalIds, OptionalMask
from seaspeak.core import weights
from seaspeak.core.errors import ConfigError, FileMissingError, require
from seaspeak.core.module import NeuralModule
from seaspeak.core.typing import typecheck

FAMILIES = ("bert", "distilbert", "roberta", "albert", "camembert", "electra", "xlm-roberta", "mpnet", "deberta-v2")
_WEIGHTS = ("model.safetensors", "pytorch_model.bin")
_NO_TOKEN_TYPES = ("distilbert", "roberta", "camembert", "xlm-roberta", "mpnet")
_MOST_BYTES = 16 << 30


class HuggingFaceEncoder(NeuralModule):
    """An encoder of transformers, with the names of its weights, and with the ports of every encoder here.

    Args:
        config: the encoder's configuration; its ``model_type`` is the family.

    Shapes:
        input_ids, attention_mask, token_type_ids   (B, T); a mask is 1 where a token counts
        returns last_hidden_states                  (B, T, D)

    Raises:
        MissingExtra: transformers is not installed.
        ConfigError: it knows no such family, or the family does not take such a configuration.
    """

    def __init__(self, config: Mapping[str, Any]) -> None:
        super().__init__()
        family = str(config["model_type"])
        transformers = require("transformers", extra="nlp", why=f"an encoder of the family {family}")
        settings = {key: value for key, value in config.items() if key != "model_type"}
        try:
            inner = transformers.AutoModel.from_config(transformers.AutoConfig.for_model(family, **settings))
        except (KeyError, ValueError, TypeError) as error:
            raise ConfigError(f"transformers builds no encoder of the family {family!r}", got=str(error)) from error
        self.config = dict(config)
        self.hidden_size = int(inner.config.hidden_size)
        self.max_positions = int(inner.config.max_position_embeddings)
        self._takes_token_types = family not in _NO_TOKEN_TYPES
        self.__dict__["_inner"] = inner  # its parts are ours, so that their weights keep their names
        for name, part in inner.named_children():
            self.add_module(name, part)

    @typecheck()
    def forward(
        self,
        input_ids: Ids,
        attention_mask: OptionalMask = None,
        token_type_ids: OptionalIds = None,
    ) -> Encoded:
        """Encode a batch of token ids."""
        more = {"token_type_ids": token_type_ids} if self._takes_token_types else {}
        found = self.__dict__["_inner"](input_ids=input_ids, attention_mask=attention_mask, return_dict=True, **more)
        return Encoded(found.last_hidden_state)


def get_pretrained_lm_models_list(include_external: bool = False) -> list[str]:
    """Return names of encoders that `get_lm_model` knows; every other name of the hub may be tried as well."""
    usual = ["bert-base-uncased", "bert-base-cased", "bert-large-uncased", "bert-large-cased"]
    others = ["distilbert-base-uncased", "distilbert-base-cased", "roberta-base", "roberta-large", "albert-base-v2"]
    return [*usual, *others, *(["camembert-base", "xlm-roberta-base"] if include_external else [])]


def get_lm_model(
    pretrained_model_name: str,
    config_dict: Mapping[str, Any] | None = None,
    config_file: str | Path | None = None,
    checkpoint_file: str | Path | None = None,
    vocab_file: str | Path | None = None,
) -> Any:
    """Return the encoder that a configuration's section ``language_model`` asks for (spec nlp §1.1-1.6).

    Args:
        pretrained_model_name: a name of Hugging Face's hub, or the folder of an encoder. With a configuration it
            says no more than the family, where the configuration does not.
        config_dict: the configuration of an encoder with random weights.
        config_file: the same as a JSON file, which wins if it exists.
        checkpoint_file: weights to load into the encoder.
        vocab_file: not needed; accepted as NeMo does.

    Raises:
        FileMissingError: a folder is not complete, or a name's files are not on this machine and cannot be fetched.
        ConfigError: the family is not known.
    """
    name = str(pretrained_model_name)
    if "megatron" in name.lower():
        raise ConfigError(f"the encoder {name!r} needs weights in Megatron's own form, which cannot be read")
    if config_file is not None and Path(config_file).is_file():
        config_dict = _read_config(Path(config_file))
    if config_dict is not None:
        encoder = build_encoder(config_dict, name)
    else:
        folder = Path(name).expanduser()
        folder = folder if folder.is_dir() else _cached(name)
        encoder = build_encoder(_read_config(folder / "config.json"), name)
        restore_weights(encoder, _weights_in(folder))
    if checkpoint_file is not None:
        restore_weights(encoder, Path(checkpoint_file))
    return encoder


def build_encoder(config: Mapping[str, Any], name: str = "") -> Any:
    """Return an encoder with random weights."""
    plain: dict[str, Any] = (
        dict(OmegaConf.to_container(config, resolve=True))  # type: ignore[arg-type]
        if isinstance(config, DictConfig)
        else dict(config)
    )
    plain["model_type"] = family_of(plain, name)
    if plain["model_type"] == "bert":
        return BertEncoder(plain)
    if plain["model_type"] == "distilbert":
        return DistilBertEncoder(plain)
    return HuggingFaceEncoder(plain)


def family_of(config: Mapping[str, Any], name: str = "") -> str:
    """Return the family: ``model_type``, else what the keys tell, else what the encoder's name tells, else BERT.

    >>> family_of({"model_type": "roberta"}), family_of({"n_heads": 12}), family_of({}, "albert-base-v2")
    ('roberta', 'distilbert', 'albert')
    """
    if config.get("model_type"):
        return str(config["model_type"])
    if "n_heads" in config:
        return "distilbert"
    if "num_hidden_groups" in config:
        return "albert"
    lowered = Path(name).name.lower()
    return next((family for family in sorted(FAMILIES, key=len, reverse=True) if family in lowered), "bert")


def restore_weights(encoder: nn.Module, path: Path) -> None:
    """Load weights into an encoder, whatever they are a part of: what it has no place for is left out.

    Raises:
        FileMissingError: there is no such file.
        ArchiveError: it is damaged, or lacks weights of the encoder.
    """
    if not path.is_file():
        raise FileMissingError(f"the weights {path} do not exist")
    if path.suffix == ".safetensors":
        state = weights.read_safetensors(path.read_bytes(), limit=_MOST_BYTES)
    else:
        with path.open("rb") as file:
            state = weights.read_torch(file, size=path.stat().st_size, limit=_MOST_BYTES)
    wanted = encoder.state_dict()
    found = {key: tensor for name, tensor in state.items() if (key := _key_of(name, wanted)) is not None}
    for key in wanted.keys() - found.keys():
        if key.startswith("pooler."):
            found[key] = wanted[key]  # not every training keeps it, and no task here reads it
    weights.assign(
        encoder, weights.fit(found, encoder, strict=True, where=str(path)), next(iter(wanted.values())).device
    )


def _key_of(name: str, wanted: Mapping[str, Any]) -> str | None:
    """Return the key of the encoder that a stored name means: as it is, or behind the name of what it was part of."""
    name = name.replace("LayerNorm.gamma", "LayerNorm.weight").replace("LayerNorm.beta", "LayerNorm.bias")
    behind = name.partition(".")[2]
    return next((key for key in (name, behind, behind.partition(".")[2]) if key in wanted), None)


def _read_config(path: Path) -> dict[str, Any]:
    if not path.is_file():
        raise _incomplete(path.parent, path.name)
    try:
        config = json.loads(path.read_text())
    except ValueError as error:
        raise ConfigError(f"the encoder's configuration {path} is not JSON", got=str(error)) from error
    if not isinstance(config, dict):
        raise ConfigError(f"the encoder's configuration {path} is not a JSON object")
    return config


def _weights_in(folder: Path) -> Path:
    for name in _WEIGHTS:
        if (folder / name).is_file():
            return folder / name
    raise _incomplete(folder, " or ".join(_WEIGHTS))


def _incomplete(folder: Path, lacks: str) -> FileMissingError:
    found = ", ".join(sorted(path.name for path in folder.iterdir())[:8]) if folder.is_dir() else "no such folder"
    return FileMissingError(
        f"the encoder's folder {folder} has no {lacks}",
        got=found or "an empty folder",
        expected="config.json, model.safetensors (or pytorch_model.bin), vocab.txt",
    )


def _cached(name: str) -> Path:
    """Return the folder in Hugging Face's cache that has the files of ``name``; fetch them if that is allowed."""
    hub = require("transformers.utils", extra="nlp", why=f"the encoder {name!r}, which is no folder")
    try:
        config = Path(hub.cached_file(name, "config.json"))
        for place, file in enumerate(_WEIGHTS):
            if hub.cached_file(name, file, _raise_exceptions_for_missing_entries=place == len(_WEIGHTS) - 1):
                break
    except (OSError, ValueError) as error:
        raise FileMissingError(
            f"the encoder {name!r} is no folder, and its files are not on this machine",
            got=str(error).strip().splitlines()[0],
            expected="a folder with config.json, model.safetensors (or pytorch_model.bin) and vocab.txt",
            fix="copy those files into a folder and set language_model.pretrained_model_name to it",
        ) from error
    return config.parent
