"""Pretraining an encoder on plain text: hidden pieces are to be guessed, and whether two segments belong together."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import torch
from torch import Tensor

from seaspeak.collections.nlp.data.masked_lm import MaskedBatch, MaskedTextDataset
from seaspeak.collections.nlp.losses.cross_entropy import CrossEntropyLoss
from seaspeak.collections.nlp.losses.smoothed_cross_entropy import SmoothedCrossEntropyLoss
from seaspeak.collections.nlp.models.nlp_model import NLPModel
from seaspeak.collections.nlp.modules.bert_pretraining import BertPretrainingTokenClassifier, SequenceClassifier
from seaspeak.collections.nlp.modules.encoder import Ids, OptionalIds, OptionalMask
from seaspeak.core.config import Configuration, to_config
from seaspeak.core.errors import ConfigError
from seaspeak.core.types import LogitsType, LogprobsType, NeuralType
from seaspeak.core.typing import typecheck
from seaspeak.text.tokenizers import WordPieceTokenizer


class Guesses(NamedTuple):
    """Log-probabilities of every piece at every place, and logits of (does not follow, follows)."""

    mlm_log_probs: Annotated[Tensor, NeuralType("B T D", LogprobsType())]
    nsp_logits: Annotated[Tensor | None, NeuralType("B D", LogitsType(), optional=True)]


class BERTLMModel(NLPModel):
    """An encoder with the heads that it is pretrained with (spec nlp §8).

    The output layer for pieces is the table of their embeddings. ``model.bert_model`` is what pretraining is for:
    ``save_encoder`` writes it as a folder that any other model here starts from.

    Sections and keys of the configuration: ``tokenizer``, ``language_model``; ``only_mlm_loss``,
    ``num_tok_classification_layers``, ``num_seq_classification_layers``, ``max_seq_length``, ``mask_prob``,
    ``short_seq_prob``; ``train_ds``, ``validation_ds``, ``test_ds`` with ``data_file`` and ``batch_size``; ``optim``.

    Shapes:
        input_ids, attention_mask, token_type_ids  (B, T)
        returns mlm_log_probs                      (B, T, V) natural logarithms
                nsp_logits                         (B, 2), or nothing if ``only_mlm_loss``

    Raises:
        ConfigError: the output layer and the embeddings have different shapes.
    """

    def __init__(self, cfg: Configuration, trainer: Any = None) -> None:
        super().__init__(cfg=cfg, trainer=trainer)
        width = self.bert_model.hidden_size
        table = self.bert_model.get_parameter("embeddings.word_embeddings.weight")
        layers = self.cfg.get("num_tok_classification_layers", 1)
        self.mlm_classifier = BertPretrainingTokenClassifier(width, len(table), num_layers=layers)
        output = self.mlm_classifier.mlp.last_linear_layer
        if output.weight.shape != table.shape:
            raise ConfigError(
                "the table of embeddings cannot be the output layer",
                got=f"{tuple(table.shape)}",
                expected=f"{tuple(output.weight.shape)}",
            )
        output.weight = table
        self.mlm_loss = SmoothedCrossEntropyLoss()
        self.only_mlm = bool(self.cfg.get("only_mlm_loss", False))
        if not self.only_mlm:
            layers = self.cfg.get("num_seq_classification_layers", 2)
            self.nsp_classifier = SequenceClassifier(width, 2, num_layers=layers, activation="tanh", log_softmax=False)
            self.nsp_loss = CrossEntropyLoss()

    @typecheck()
    def forward(
        self, input_ids: Ids, attention_mask: OptionalMask = None, token_type_ids: OptionalIds = None
    ) -> Guesses:
        """Guess every piece of a batch, and whether the second segment follows the first."""
        hidden = self.bert_model(
            input_ids=input_ids, attention_mask=attention_mask, token_type_ids=token_type_ids
        ).last_hidden_states
        log_probs = self.mlm_classifier(hidden_states=hidden)
        return Guesses(log_probs, None if self.only_mlm else self.nsp_classifier(hidden_states=hidden))

    # --- training ---------------------------------------------------------------------------------------------------

    def setup_training_data(self, train_data_config: Any) -> None:
        """Make the loader of a section like ``cfg.train_ds``."""
        self._train_dl = self._loader("train_ds", train_data_config)

    def setup_validation_data(self, val_data_config: Any) -> None:
        """Make the loader of a section like ``cfg.validation_ds``; its examples are always the same."""
        self._validation_dl = self._loader("validation_ds", val_data_config)

    def setup_test_data(self, test_data_config: Any) -> None:
        """Make the loader of a section like ``cfg.test_ds``; its examples are always the same."""
        self._test_dl = self._loader("test_ds", test_data_config)

    def _loader(self, key: str, section: Any) -> Any:
        section = to_config(section)
        self.cfg[key] = section
        if section.get("data_file") is None:
            return None
        train = key == "train_ds"

        def setting(name: str, default: float) -> Any:
            return section.get(name, self.cfg.get(name, default))

        files = section.data_file
        data = MaskedTextDataset(
            files if isinstance(files, str) else list(files),
            self.tokenizer,
            max_seq_length=int(setting("max_seq_length", 128)),
            mask_prob=float(setting("mask_prob", 0.15)),
            short_seq_prob=float(setting("short_seq_prob", 0.1)),
            fixed=not train,
        )
        return data.loader(
            batch_size=int(section.get("batch_size", 16)),
            shuffle=bool(section.get("shuffle", train)),
            num_workers=int(section.get("num_workers", 0)),
        )

    def training_step(self, batch: MaskedBatch, batch_idx: int = 0) -> dict[str, Any]:
        """Return the loss of a batch and log it."""
        loss, mlm_loss = self._loss_of(batch)
        self.log("train_loss", loss.detach())
        self.log("train_perplexity", mlm_loss.exp())
        return {"loss": loss}

    def _loss_of(self, batch: MaskedBatch) -> tuple[Tensor, Tensor]:
        """Return the loss to learn from, and that of the pieces alone, which is a number."""
        batch = MaskedBatch(*batch)
        guesses = self(
            input_ids=batch.input_ids, attention_mask=batch.attention_mask, token_type_ids=batch.token_type_ids
        )
        mlm_loss = self.mlm_loss(
            log_probs=guesses.mlm_log_probs, labels=batch.output_ids, output_mask=batch.output_mask
        )
        if self.only_mlm:
            return mlm_loss, mlm_loss.detach()
        return mlm_loss + self.nsp_loss(logits=guesses.nsp_logits, labels=batch.nsp_labels), mlm_loss.detach()

    def validation_step(self, batch: MaskedBatch, batch_idx: int = 0, dataloader_idx: int = 0) -> dict[str, Tensor]:
        """Return the losses of a batch."""
        loss, mlm_loss = self._loss_of(batch)
        return {"val_loss": loss.detach(), "val_mlm_loss": mlm_loss}

    def test_step(self, batch: MaskedBatch, batch_idx: int = 0, dataloader_idx: int = 0) -> dict[str, Tensor]:
        """Return the losses of a batch."""
        return {f"test_{name.removeprefix('val_')}": value for name, value in self.validation_step(batch).items()}

    def multi_validation_epoch_end(self, outputs: list[Any], dataloader_idx: int = 0) -> dict[str, Any]:
        """Return the mean losses and the perplexity of hidden pieces."""
        log = _means(outputs)
        log["val_perplexity"] = log["val_mlm_loss"].exp()
        return {"val_loss": log["val_loss"], "log": log}

    def multi_test_epoch_end(self, outputs: list[Any], dataloader_idx: int = 0) -> dict[str, Any]:
        """Return the mean losses and the perplexity of hidden pieces."""
        log = _means(outputs)
        log["test_perplexity"] = log["test_mlm_loss"].exp()
        return {"log": log}

    # --- what comes of it -------------------------------------------------------------------------------------------

    def save_encoder(self, folder: str | Path) -> None:
        """Write the encoder as a folder with ``config.json``, ``model.safetensors`` and ``vocab.txt``.

        Its path can be ``language_model.pretrained_model_name`` of another model, and transformers loads it too.
        """
        from safetensors.torch import save_file

        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        config = {"model_type": "bert", **self.bert_model.config}
        (folder / "config.json").write_text(json.dumps(config, indent=2) + "\n")
        state = {name: tensor.detach().contiguous() for name, tensor in self.bert_model.state_dict().items()}
        save_file(state, folder / "model.safetensors", metadata={"format": "pt"})
        if isinstance(self.tokenizer, WordPieceTokenizer):
            (folder / "vocab.txt").write_text("\n".join(self.tokenizer.vocabulary) + "\n", encoding="utf-8")


def _means(outputs: list[dict[str, Tensor]]) -> dict[str, Tensor]:
    return {name: torch.stack([output[name] for output in outputs]).mean() for name in outputs[0]}
