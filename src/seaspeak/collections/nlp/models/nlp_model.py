"""What the models of the language collection share: a tokenizer and an encoder, from a configuration or an archive."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf
from torch import Tensor

from seaspeak.collections.nlp.modules.huggingface import family_of, get_lm_model
from seaspeak.core.config import Configuration, to_config
from seaspeak.core.errors import ConfigError
from seaspeak.core.model import Model
from seaspeak.core.restore import restoring
from seaspeak.text.tokenizers import Tokenizer, get_tokenizer

_LARGE = {"hidden_size": 1024, "num_hidden_layers": 24, "num_attention_heads": 16, "intermediate_size": 4096}


class NLPModel(Model):
    """A model around an encoder, ``bert_model``, and its ``tokenizer``.

    Sections of the configuration: ``tokenizer`` (spec nlp §1.7) and ``language_model`` (§1.1). The vocabulary becomes
    a part of the archive, and the encoder's configuration a part of the model's, so that restoring needs no network.

    Raises:
        ConfigError: a section, or the vocabulary, is missing.
    """

    tokenizer: Tokenizer

    def __init__(self, cfg: Configuration, trainer: Any = None) -> None:
        cfg = to_config(cfg)
        if missing := [key for key in ("tokenizer", "language_model") if cfg.get(key) is None]:
            raise ConfigError(f"the model's configuration lacks {', '.join(missing)}", got=", ".join(map(str, cfg)))
        self._set_tokenizer(cfg)  # before the base class sets up data, which needs it
        super().__init__(cfg=cfg, trainer=trainer)
        self.bert_model = self._build_encoder()

    def _set_tokenizer(self, cfg: DictConfig) -> None:
        section = cfg.tokenizer
        folder = Path(str(section.tokenizer_name)).expanduser()
        if not section.get("vocab_file") and (folder / "vocab.txt").is_file():
            section.vocab_file = str(folder / "vocab.txt")
        for key in ("vocab_file", "tokenizer_model"):
            if section.get(key):
                section[key] = self.register_artifact(f"tokenizer.{key}", section[key])
        if restoring() is not None and not (section.get("vocab_file") or section.get("tokenizer_model")):
            raise ConfigError(
                "the archive holds no tokenizer",
                expected="a vocabulary under tokenizer.vocab_file",
                fix="restore with override_config_path, a configuration whose tokenizer.vocab_file names one",
            )
        self.tokenizer = get_tokenizer(
            str(section.tokenizer_name),
            tokenizer_model=section.get("tokenizer_model"),
            vocab_file=section.get("vocab_file"),
            special_tokens=section.get("special_tokens"),
        )

    def _build_encoder(self) -> Any:
        """Return the encoder; what it is goes into the configuration, so that an archive says so."""
        section = self.cfg.language_model
        name = str(section.pretrained_model_name)
        if section.get("config_file"):
            section.config_file = self.register_artifact(
                "language_model.config_file", section.config_file, verify_src_exists=not section.get("config")
            )
        config = section.get("config")
        if config is None and not section.get("config_file") and restoring() is not None:
            config = self._config_by_name(name)  # archives of NeMo 1.0 say no more
        encoder = get_lm_model(
            name,
            config_dict=None if config is None else _plain(config),
            config_file=section.get("config_file"),
            checkpoint_file=None if restoring() is not None else section.get("lm_checkpoint"),
        )
        section.config = _plain(encoder.config)
        return encoder

    def _config_by_name(self, name: str) -> dict[str, Any]:
        size = _LARGE if "large" in name else {}
        return {"model_type": family_of({}, name), "vocab_size": self.tokenizer.vocab_size, **size}

    @classmethod
    def adapt(cls, config: DictConfig, state: Mapping[str, Tensor]) -> tuple[DictConfig, Mapping[str, Tensor]]:
        """Leave out the numbers of positions, which transformers before 4.31 stored with the weights."""
        return config, {name: value for name, value in state.items() if not name.endswith("embeddings.position_ids")}

    @property
    def max_positions(self) -> int:
        """The most pieces of a text that the encoder takes, with ``[CLS]`` and ``[SEP]``."""
        return int(self.bert_model.max_positions)


def _plain(config: Mapping[str, Any] | DictConfig) -> dict[str, Any]:
    plain = OmegaConf.to_container(config, resolve=True) if isinstance(config, DictConfig) else dict(config)
    assert isinstance(plain, dict)
    return {str(key): value for key, value in plain.items()}
