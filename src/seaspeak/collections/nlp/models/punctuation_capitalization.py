"""Marks and capitals for plain words: an encoder with two heads."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from omegaconf import DictConfig, OmegaConf
from torch import Tensor

from seaspeak.collections.nlp.data.punctuation import (
    Featuriser,
    Labelled,
    build_loader,
    draw_windows,
    exact_windows,
    read_genres,
    read_two_files,
)
from seaspeak.collections.nlp.data.punctuation_windows import Merger, Window, cut, window_size
from seaspeak.collections.nlp.losses.cross_entropy import AggregatorLoss, CrossEntropyLoss
from seaspeak.collections.nlp.metrics.classification_report import ClassificationReport
from seaspeak.collections.nlp.models.nlp_model import NLPModel
from seaspeak.collections.nlp.modules.encoder import Ids, OptionalIds, OptionalMask
from seaspeak.collections.nlp.modules.token_classifier import TokenClassifier
from seaspeak.core.config import Configuration, to_config
from seaspeak.core.errors import ConfigError
from seaspeak.core.types import LogitsType, NeuralType
from seaspeak.core.typing import typecheck
from seaspeak.text.transcript import Transcript

HEADS = ("punct", "capit")
_LABELS = {"punct": ("O", ",", ".", "?"), "capit": ("O", "U")}
_PIECES_AT_ONCE = 16384

Logits = Annotated[Tensor, NeuralType("B T D", LogitsType())]


class Scored(NamedTuple):
    """Logits of the mark after each piece, and of its capital."""

    punct_logits: Logits
    capit_logits: Logits


class PunctuationCapitalizationModel(NLPModel):
    """Restores commas, full stops, question marks and capitals.

    Sections of the configuration (spec nlp §3.4-3.5, both styles): ``tokenizer``, ``language_model``, ``punct_head``,
    ``capit_head``; ``common_dataset_parameters`` (or ``dataset``), ``class_labels``, ``train_ds``, ``validation_ds``,
    ``test_ds``, ``optim``. A data section names NeMo's two files (``text_file``, ``labels_file`` in ``ds_item``) or,
    with ``plain_text``, a folder of texts as people write them.

    Shapes:
        input_ids, attention_mask, token_type_ids  (B, T)
        returns punct_logits, capit_logits         (B, T, marks), (B, T, 2)
    """

    def __init__(self, cfg: Configuration, trainer: Any = None) -> None:
        cfg = to_config(cfg)
        self.label_ids = {head: self._read_labels(cfg, head) for head in HEADS}
        super().__init__(cfg=cfg, trainer=trainer)
        for head in HEADS:
            content = "\n".join(self.label_ids[head]).encode()
            self._artifacts.add_content(f"class_labels.{head}_labels_file", f"{head}_label_ids.csv", content)
        self.punct_classifier = self._head("punct")
        self.capit_classifier = self._head("capit")
        self.loss = CrossEntropyLoss(logits_ndim=3)
        self.agg_loss = AggregatorLoss(num_inputs=2)

    # --- parts ------------------------------------------------------------------------------------------------------

    def _read_labels(self, cfg: DictConfig, head: str) -> dict[str, int]:
        """Return the labels with their ids: from the configuration, else from the model's file, else the usual ones.

        Raises:
            ConfigError: the label that stands for nothing has not the id 0.
        """
        key = f"{head}_label_ids"
        given = OmegaConf.select(cfg, f"common_dataset_parameters.{key}") or cfg.get(key)
        source = OmegaConf.select(cfg, f"class_labels.{head}_labels_file")
        config_path = f"class_labels.{head}_labels_file"
        if given is None and source and self.register_artifact(config_path, source, verify_src_exists=False):
            given = {name: place for place, name in enumerate(self.artifact_bytes(config_path).decode().split("\n"))}
        labels = given or {name: place for place, name in enumerate(_LABELS[head])}
        named = {str(name): int(place) for name, place in sorted(labels.items(), key=lambda item: item[1])}
        pad = str(self._setting(cfg, "pad_label", "O"))
        if named.get(pad) != 0 or list(named.values()) != list(range(len(named))):
            raise ConfigError(f"{key} must count from 0, which is {pad!r}", got=str(named))
        return named

    @staticmethod
    def _setting(cfg: DictConfig, key: str, default: Any) -> Any:
        section = cfg.get("common_dataset_parameters") or cfg.get("dataset") or {}
        value = section.get(key)
        return default if value is None else value

    def _head(self, head: str) -> TokenClassifier:
        section = self.cfg.get(f"{head}_head") or {}
        layers = section.get("num_fc_layers") or section.get(f"{head}_num_fc_layers") or 1
        return TokenClassifier(
            hidden_size=self.bert_model.hidden_size,
            num_classes=len(self.label_ids[head]),
            num_layers=int(layers),
            activation=str(section.get("activation", "relu")),
            log_softmax=False,
            dropout=float(section.get("fc_dropout", 0.1)),
            use_transformer_init=bool(section.get("use_transformer_init", True)),
        )

    # --- network ----------------------------------------------------------------------------------------------------

    @typecheck()
    def forward(
        self, input_ids: Ids, attention_mask: OptionalMask = None, token_type_ids: OptionalIds = None
    ) -> Scored:
        """Score marks and capitals of every piece."""
        hidden = self.bert_model(input_ids=input_ids, attention_mask=attention_mask, token_type_ids=token_type_ids)
        states = hidden.last_hidden_states
        return Scored(self.punct_classifier(hidden_states=states), self.capit_classifier(hidden_states=states))

    # --- training ---------------------------------------------------------------------------------------------------

    def setup_training_data(self, train_data_config: Any) -> None:
        """Make the loader of a section like ``cfg.train_ds``."""
        self._train_dl = self._loader("train_ds", train_data_config, shuffle=True)

    def setup_validation_data(self, val_data_config: Any) -> None:
        """Make the loader of a section like ``cfg.validation_ds``."""
        self._validation_dl = self._loader("validation_ds", val_data_config, shuffle=False)

    def setup_test_data(self, test_data_config: Any) -> None:
        """Make the loader of a section like ``cfg.test_ds``."""
        self._test_dl = self._loader("test_ds", test_data_config, shuffle=False)

    def _loader(self, key: str, section: Any, *, shuffle: bool) -> Any:
        section = to_config(section)
        self.cfg[key] = section
        featuriser = Featuriser(
            self.tokenizer,
            self.label_ids["punct"],
            self.label_ids["capit"],
            max_seq_length=int(section.get("max_seq_length") or self._setting(self.cfg, "max_seq_length", 512)),
            ignore_extra_tokens=bool(self._setting(self.cfg, "ignore_extra_tokens", False)),
            ignore_start_end=bool(self._setting(self.cfg, "ignore_start_end", "dataset" not in self.cfg)),
        )
        sentences = self._sentences(section)
        return None if sentences is None else build_loader(sentences, featuriser, section, shuffle=shuffle)

    def _sentences(self, section: DictConfig) -> Iterator[Labelled] | list[Labelled] | None:
        """Return the texts of a data section; None where it names none."""
        if section.get("plain_text"):
            genres = read_genres(Path(section.plain_text).expanduser())
            if section.get("window_words"):
                each = int(section.get("words_per_genre") or 0) or None
                return [w for g in genres.values() for w in exact_windows(g, int(section.window_words), each)]
            settings = ("shortest", "longest", "temperature", "passes")
            chosen = {key: section[key] for key in settings if section.get(key) is not None}
            return draw_windows(genres, seed=int(section.get("seed") or 0), **chosen)
        folder = section.get("ds_item") or self._setting(self.cfg, "data_dir", None)
        if not section.get("text_file") or folder is None:
            return None
        folder = Path(folder).expanduser()
        return read_two_files(folder / section.text_file, folder / section.labels_file)

    def training_step(self, batch: Mapping[str, Tensor], batch_idx: int = 0) -> dict[str, Tensor]:
        """Return the sum of both heads' losses and log it."""
        loss, _ = self._loss_of(batch)
        self.log("train_loss", loss.detach())
        if self._optimizer is not None:
            self.log("learning_rate", self._optimizer.param_groups[0]["lr"])
        return {"loss": loss}

    def _loss_of(self, batch: Mapping[str, Tensor]) -> tuple[Tensor, Scored]:
        scored = self(input_ids=batch["input_ids"], attention_mask=batch["input_mask"])
        losses = {
            f"loss_{number}": self.loss(
                logits=logits, labels=batch[f"{head}_labels"], loss_mask=batch["loss_mask"].float()
            )
            for number, (head, logits) in enumerate(zip(HEADS, scored, strict=True), 1)
        }
        return self.agg_loss(**losses), scored

    def validation_step(
        self, batch: Mapping[str, Tensor], batch_idx: int = 0, dataloader_idx: int = 0
    ) -> dict[str, Tensor]:
        """Return the loss of one batch, and what both heads got right and wrong at the first pieces of words."""
        loss, scored = self._loss_of(batch)
        counts = batch["loss_mask"].sum()
        found = {"loss": loss.detach() * counts, "weight": counts}
        first = batch["subtokens_mask"].bool()
        for head, logits in zip(HEADS, scored, strict=True):
            labels = batch[f"{head}_labels"][first]
            report = ClassificationReport(len(self.label_ids[head]))
            found[head] = torch.stack(report.counts(logits.argmax(-1)[first], labels))
        return found

    def test_step(self, batch: Mapping[str, Tensor], batch_idx: int = 0, dataloader_idx: int = 0) -> dict[str, Tensor]:
        """As a validation step."""
        return self.validation_step(batch, batch_idx, dataloader_idx)

    def multi_validation_epoch_end(self, outputs: list[Any], dataloader_idx: int = 0) -> dict[str, Any]:
        """Return the mean loss, and precision, recall and F1 of every label and of their macro means, in percent."""
        return {"log": self._epoch(outputs, "val_")}

    def multi_test_epoch_end(self, outputs: list[Any], dataloader_idx: int = 0) -> dict[str, Any]:
        """As for validation, with the prefix ``test_``."""
        return {"log": self._epoch(outputs, "test_", prefix="test_")}

    def _epoch(self, outputs: Sequence[Mapping[str, Tensor]], loss_prefix: str, prefix: str = "") -> dict[str, Tensor]:
        total = torch.stack([output["loss"] for output in outputs]).sum()
        log = {f"{loss_prefix}loss": total / sum(int(output["weight"]) for output in outputs)}
        for head in HEADS:
            for mode in ("macro", "all"):
                report = ClassificationReport(len(self.label_ids[head]), self.label_ids[head], mode)
                for output in outputs:
                    report.add(output[head])
                scores = report.compute()
                for name in ("precision", "recall", "f1"):
                    values = getattr(scores, name)
                    if mode == "macro":
                        log[f"{prefix}{head}_{name}"] = values
                    else:
                        log |= {
                            f"{prefix}{head}_{name}_{label}": values[place]
                            for label, place in self.label_ids[head].items()
                        }
        return log

    # --- inference --------------------------------------------------------------------------------------------------

    def add_punctuation_capitalization(
        self,
        queries: Sequence[str],
        batch_size: int | None = None,
        max_seq_length: int | None = None,
        step: int = 8,
        margin: int = 16,
        return_labels: bool = False,
        dataloader_kwargs: Any = None,
    ) -> list[str]:
        """Return texts with marks and capitals; every word stays, in its place.

        Args:
            queries: texts of any length, without marks.
            batch_size: windows at once; as many as fit into a bounded memory by default.
            max_seq_length: the most pieces of a window, with ``[CLS]`` and ``[SEP]``; by default as many as the
                encoder takes, so that most texts are one window.
            step: how many pieces windows are apart, where a text needs several.
            margin: pieces at each inner edge of a window whose scores do not count.
            return_labels: return labels such as ``"OU OO .O"`` instead.
            dataloader_kwargs: not needed; accepted as NeMo does.

        Raises:
            ConfigError: the sizes do not fit each other.
        """
        words = [query.split() for query in queries]
        marked = self._labels(words, batch_size, max_seq_length, step, margin)
        write = _labels_of if return_labels else _written
        return [" ".join(write(*pair)) for pair in zip(words, marked, strict=True)]

    def punctuate(self, transcripts: Sequence[Transcript]) -> list[Transcript]:
        """Return transcripts with marks and capitals, at the same times."""
        return [self._punctuated(transcript) for transcript in transcripts]

    def _punctuated(self, transcript: Transcript) -> Transcript:
        spoken = [word.text for segment in transcript.segments for word in segment.words]
        if not spoken:
            return dataclasses.replace(transcript, text=self.add_punctuation_capitalization([transcript.text])[0])
        texts = iter(_written_words(spoken, self._labels([" ".join(spoken).split()])[0]))
        segments = []
        for segment in transcript.segments:
            words = tuple(dataclasses.replace(word, text=next(texts)) for word in segment.words)
            segments.append(dataclasses.replace(segment, words=words, text=" ".join(word.text for word in words)))
        return dataclasses.replace(transcript, segments=tuple(segments), text=" ".join(s.text for s in segments))

    def _labels(
        self,
        words: Sequence[Sequence[str]],
        batch_size: int | None = None,
        max_seq_length: int | None = None,
        step: int = 8,
        margin: int = 16,
    ) -> list[list[str]]:
        """Return a label of two characters for every word of every text."""
        pieces = [[self.tokenizer.text_to_ids(word) or [self.tokenizer.unk_id] for word in text] for text in words]
        ids = [np.array([piece for word in text for piece in word], np.int64) for text in pieces]
        starts = [np.array([not place for word in text for place in range(len(word))], bool) for text in pieces]
        longest = max(map(len, ids), default=0)
        given = self.max_positions if max_seq_length is None else min(max_seq_length, self.max_positions)
        if max_seq_length is None and step > 0:
            margin = min(margin, (given - 2) // 4)
            step = given - 2 - 2 * margin  # windows overlap by their margins, and each word counts once
        length, step = window_size(longest, given, step, margin)
        merged = [{head: Merger(margin) for head in HEADS} for _ in words]
        windows = cut(starts, length, step) if longest else iter(())
        windows = (window for window in windows if window.end > window.start)
        for window, scores in self._scores(windows, ids, batch_size or max(1, _PIECES_AT_ONCE // (length + 2))):
            first = starts[window.query][window.start : window.end]
            for head in HEADS:
                merged[window.query][head].add(window, scores[head], first)
        names = {head: list(self.label_ids[head]) for head in HEADS}
        ended = [[[names[head][place] for place in text[head].end()] for head in HEADS] for text in merged]
        return [[mark + capital for mark, capital in zip(*text, strict=True)] for text in ended]

    @torch.inference_mode()
    def _scores(
        self, windows: Iterator[Window], ids: Sequence[NDArray[np.int64]], batch_size: int
    ) -> Iterator[tuple[Window, dict[str, NDArray[np.float32]]]]:
        """Yield every window with the probabilities (pieces, labels) of both heads."""
        was_training = self.training
        self.eval()
        while batch := list(islice(windows, batch_size)):
            rows = [ids[window.query][window.start : window.end] for window in batch]
            shape = (len(rows), max(map(len, rows)) + 2)
            tokens = np.full(shape, self.tokenizer.pad_id, np.int64)
            mask = np.zeros(shape, np.int64)
            for place, row in enumerate(rows):
                tokens[place, : len(row) + 2] = [self.tokenizer.cls_id, *row, self.tokenizer.sep_id]
                mask[place, : len(row) + 2] = 1
            scored = self(
                input_ids=torch.from_numpy(tokens).to(self.device),
                attention_mask=None if mask.all() else torch.from_numpy(mask).to(self.device),
            )
            found = [logits.float().softmax(-1).cpu().numpy() for logits in scored]
            for place, window in enumerate(batch):
                inner = slice(1, len(rows[place]) + 1)
                yield window, {head: found[number][place, inner] for number, head in enumerate(HEADS)}
        self.train(was_training)


def _written(words: Sequence[str], labels: Sequence[str]) -> list[str]:
    """Return words with their marks and capitals; what is written in capitals already stays so."""
    return [
        (word[:1].upper() + word[1:] if label[1] == "U" else word) + ("" if label[0] == "O" else label[0])
        for word, label in zip(words, labels, strict=True)
    ]


def _written_words(spoken: Sequence[str], labels: Sequence[str]) -> list[str]:
    """Return spoken words as written; one that holds blanks, or nothing, keeps them."""
    written = iter(_written(" ".join(spoken).split(), labels))
    return [" ".join(islice(written, len(word.split()))) for word in spoken]


def _labels_of(words: Sequence[str], labels: Sequence[str]) -> list[str]:
    return list(labels)
