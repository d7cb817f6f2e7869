"""One utterance as a model is trained on it, and several as a batch.

Shape letters in this file:
    B  batch size      S  samples of the longest      L  labels of the longest
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from seaspeak.audio import io
from seaspeak.audio.trim import trim_silence
from seaspeak.core.errors import DataError, MissingExtra, SeaspeakError
from seaspeak.core.types import AudioSignal, LabelsType, LengthsType, NeuralType
from seaspeak.data.manifest import Entry, Manifest, Paths, read
from seaspeak.text.parsers import CharParser, make_parser

logger = logging.getLogger(__name__)

Tokenize = Callable[[str], Sequence[int] | None]
Augment = Callable[[NDArray[np.float32], int], NDArray[np.float32]]
_SHOWN = 20


class Example(NamedTuple):
    """One utterance: samples (S,) float32, their number, labels (L,) int64, their number."""

    signal: Tensor
    length: Tensor
    tokens: Tensor
    token_length: Tensor
    sample_id: int | None = None


class SpeechReader:
    """Reads an utterance as a model is trained on it.

    Args:
        tokenize: from a transcript to label numbers; None if that cannot be done.
        sample_rate: of the samples, in Hz.
        trim: whether to cut silence off the ends.
        augmentor: called with samples and rate, returns samples.
        bos_id, eos_id: label numbers to put before and after.
        pad_id: what fills the labels of a batch up.
        return_sample_id: whether batches end with the utterances' places in the manifest.
        channel_selector: which channels to average; all by default.
    """

    def __init__(
        self,
        tokenize: Tokenize,
        sample_rate: int,
        *,
        trim: bool = False,
        augmentor: Augment | None = None,
        bos_id: int | None = None,
        eos_id: int | None = None,
        pad_id: int = 0,
        return_sample_id: bool = False,
        channel_selector: io.Channels = None,
    ) -> None:
        self.tokenize, self.sample_rate = tokenize, sample_rate
        self.trim, self.augmentor = trim, augmentor
        self.before = [] if bos_id is None else [bos_id]
        self.after = [] if eos_id is None else [eos_id]
        self.pad_id = pad_id
        self.return_sample_id, self.channel_selector = return_sample_id, channel_selector

    def read_manifest(self, paths: Paths, **options: Any) -> Manifest:
        """Read manifests as `manifest.read` does, without the utterances that have no labels.

        Characters of the others for which there are no labels are warned about, for they vanish from the transcripts.
        """
        lost: Counter[str] = Counter()

        def keep(entry: Entry) -> str:
            if isinstance(self.tokenize, CharParser) and "token_labels" not in entry.extra:
                text = self.tokenize.normalize(entry.text) if self.tokenize.do_normalize else entry.text
                lost.update(self.tokenize.unspellable(text or ""))
            return "whose text has no labels" if self.tokens(entry) is None else ""

        manifest = read(paths, keep=keep, **options)
        if lost:
            listed = ", ".join(f"{character!r} {count}×" for character, count in lost.most_common(_SHOWN))
            logger.warning("the texts have characters that the model has no labels for: %s", listed)
        return manifest

    def tokens(self, entry: Entry) -> list[int] | None:
        """Return the label numbers of an utterance, as the manifest gives them or its text is written."""
        given = entry.extra.get("token_labels")
        tokens = self.tokenize(entry.text) if given is None else given
        return None if tokens is None else [*self.before, *tokens, *self.after]

    def example(self, entry: Entry, place: int, source: Any = None) -> Example:
        """Read an utterance.

        Args:
            entry: what to read.
            place: its place in the manifest.
            source: its recording, where that is not what the entry's path names.

        Raises:
            DataError: it cannot be read; the message begins with manifest and line.
        """
        with naming(entry):
            samples = io.read(
                entry.audio_filepath if source is None else source,
                sample_rate=self.sample_rate,
                offset=entry.offset,
                duration=entry.duration or None,
                channel_selector=self.channel_selector,
            ).samples
            if self.trim:
                samples = trim_silence(samples)
            if self.augmentor is not None:
                samples = self.augmentor(samples, self.sample_rate)
            tokens = self.tokens(entry)
            if tokens is None:
                raise DataError("the text has no labels", got=repr(entry.text))
        signal = torch.from_numpy(np.ascontiguousarray(samples, dtype=np.float32))
        return Example(
            signal,
            torch.tensor(len(signal)),
            torch.tensor(tokens, dtype=torch.long),
            torch.tensor(len(tokens)),
            place if self.return_sample_id else None,
        )

    def batch(self, items: Sequence[tuple[Any, ...] | SeaspeakError]) -> tuple[Tensor, ...]:
        """Fill examples up to one length: signals (B, S) with zeros, labels (B, L) with ``pad_id``."""
        examples = [_example(item) for item in items]
        signals = _filled([example.signal for example in examples], 0.0)
        tokens = _filled([example.tokens for example in examples], self.pad_id)
        lengths = torch.stack([example.length for example in examples])
        token_lengths = torch.stack([example.token_length for example in examples])
        if not self.return_sample_id:
            return signals, lengths, tokens, token_lengths
        return signals, lengths, tokens, token_lengths, torch.tensor([example.sample_id for example in examples])

    @property
    def output_types(self) -> dict[str, NeuralType]:
        """What a batch is."""
        types = {
            "audio_signal": NeuralType("B T", AudioSignal(freq=self.sample_rate)),
            "a_sig_length": NeuralType("B", LengthsType()),
            "transcripts": NeuralType("B T", LabelsType()),
            "transcript_length": NeuralType("B", LengthsType()),
        }
        return {**types, "sample_id": NeuralType("B", LengthsType())} if self.return_sample_id else types


def _example(item: tuple[Any, ...] | SeaspeakError) -> Example:
    if isinstance(item, SeaspeakError):
        raise item
    return Example(*item)


def _filled(rows: Sequence[Tensor], value: float) -> Tensor:
    return torch.nn.utils.rnn.pad_sequence(list(rows), batch_first=True, padding_value=value)


@contextmanager
def naming(entry: Entry) -> Iterator[None]:
    """Let an error say which line of which manifest it is about."""
    try:
        yield
    except MissingExtra:
        raise
    except SeaspeakError as error:
        raise DataError(
            f"{entry.where}: {error.problem}", got=error.got, expected=error.expected, fix=error.fix
        ) from error


def tokenizer(parser: str | Tokenize, labels: Sequence[str] | None, **options: Any) -> Tokenize:
    """Return the function from a text to label numbers that ``parser`` is or names."""
    return make_parser(labels, parser, **options) if isinstance(parser, str) else parser
