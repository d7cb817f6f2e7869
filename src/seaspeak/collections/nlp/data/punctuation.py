"""Words with their marks and capitals: from NeMo's two files, or from plain text cut into windows.

A label is two characters: the mark that follows the word (``O`` for none), then ``U`` for a capital or ``O``.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from seaspeak.core.errors import DataError, FileMissingError
from seaspeak.data.loader import ResumableLoader
from seaspeak.data.sampler import DurationBatchSampler
from seaspeak.text.tokenizers import Tokenizer

NONE = "O"
CAPITAL = "U"
_MARKS = {",": ",", ";": ",", ".": ".", "!": ".", "?": "?"}
_CORE = re.compile(r"[^\W_](?:.*[^\W_])?")


class Labelled(NamedTuple):
    """Words, and a label of two characters for each."""

    words: list[str]
    labels: list[str]


def label_text(text: str) -> Labelled:
    """Take marks and capitals off a text: lower-case words, and what was taken.

    ``!`` counts as a full stop and ``;`` as a comma; quotes, brackets and other marks around a word go; what holds
    neither letter nor digit is no word.

    >>> label_text('"Hello," she said; really?!').labels
    [',U', 'OO', ',O', '?O']
    """
    found = Labelled([], [])
    for word in text.split():
        core = _CORE.search(word)
        if core is None:
            continue
        mark = next((_MARKS[char] for char in word[core.end() :] if char in _MARKS), NONE)
        found.words.append(core.group().lower())
        found.labels.append(mark + (CAPITAL if core.group()[0].isupper() else NONE))
    return found


def read_two_files(text_file: Path, labels_file: Path) -> list[Labelled]:
    """Return the sentences of NeMo's two files.

    Raises:
        FileMissingError: one of them does not exist.
        DataError: a line has not as many labels as words, or a label has not two characters.
    """
    for path in (text_file, labels_file):
        if not path.is_file():
            raise FileMissingError(f"there is no file {path}")
    texts, labels = (path.read_text(encoding="utf-8").splitlines() for path in (text_file, labels_file))
    if len(texts) != len(labels):
        raise DataError(f"{labels_file} has {len(labels)} lines, and {text_file} has {len(texts)}")
    sentences = [Labelled(text.split(), label.split()) for text, label in zip(texts, labels, strict=True)]
    for number, (words, marks) in enumerate(sentences, 1):
        if len(words) != len(marks):
            raise DataError(f"{labels_file}:{number} has {len(marks)} labels for {len(words)} words")
        if wrong := [label for label in marks if len(label) != 2]:
            raise DataError(f"{labels_file}:{number}: a label has two characters", got=repr(wrong[0]))
    return [sentence for sentence in sentences if sentence.words]


def read_genres(folder: Path) -> dict[str, list[str]]:
    """Return the paragraphs of every ``*.txt`` of a folder, by the file's name.

    Raises:
        FileMissingError: there are none.
    """
    files = sorted(folder.glob("*.txt")) if folder.is_dir() else []
    if not files:
        raise FileMissingError(f"there are no text files in {folder}", expected="GENRE.txt with a paragraph a line")
    return {file.stem: [line for line in file.read_text(encoding="utf-8").splitlines() if line] for file in files}


def draw_windows(
    genres: Mapping[str, Sequence[str]],
    *,
    shortest: int = 20,
    longest: int = 60,
    temperature: float = 1.0,
    passes: float = 1.0,
    seed: int = 0,
) -> Iterator[Labelled]:
    """Cut windows at random places of the joined paragraphs of each genre, as speech has no paragraphs.

    Args:
        genres: paragraphs by genre.
        shortest: least words in a window.
        longest: most of them.
        temperature: 1 takes genres in proportion to their words; 2 in proportion to the square root of them.
        passes: how many words are taken in all, in multiples of those that there are.
        seed: decides order, places and lengths.
    """
    random = np.random.default_rng(seed)
    joined = {name: [label_text(paragraph) for paragraph in paragraphs] for name, paragraphs in genres.items()}
    sizes = {name: sum(len(part.words) for part in parts) for name, parts in joined.items()}
    shares = {name: size ** (1 / temperature) for name, size in sizes.items() if size}
    total = passes * sum(sizes.values())
    for name, share in shares.items():
        yield from _cut(joined[name], round(total * share / sum(shares.values())), (shortest, longest), random)


def _cut(
    parts: Sequence[Labelled], wanted: int, lengths: tuple[int, int], random: np.random.Generator
) -> Iterator[Labelled]:
    taken = 0
    stream = _endless(parts, random)
    for _ in range(int(random.integers(lengths[1]))):
        next(stream)
    while taken < wanted:
        count = int(random.integers(lengths[0], lengths[1] + 1))
        pairs = [next(stream) for _ in range(count)]
        taken += count
        yield Labelled([word for word, _ in pairs], [label for _, label in pairs])


def _endless(parts: Sequence[Labelled], random: np.random.Generator) -> Iterator[tuple[str, str]]:
    while True:
        for place in random.permutation(len(parts)):
            yield from zip(*parts[place], strict=True)


def exact_windows(paragraphs: Iterable[str], words: int, most: int | None = None) -> Iterator[Labelled]:
    """Cut joined paragraphs into windows of exactly ``words`` words, for evaluation; at most ``most`` words in all."""
    labelled = [label_text(paragraph) for paragraph in paragraphs]
    pairs = [pair for part in labelled for pair in zip(*part, strict=True)][:most]
    for start in range(0, len(pairs) - words + 1, words):
        window = pairs[start : start + words]
        yield Labelled([word for word, _ in window], [label for _, label in window])


@dataclass(frozen=True)
class Features:
    """One text as the encoder reads it; all arrays are (T,)."""

    input_ids: NDArray[np.int64]
    subtokens_mask: NDArray[np.bool_]
    loss_mask: NDArray[np.bool_]
    punct_labels: NDArray[np.int64]
    capit_labels: NDArray[np.int64]


class Featuriser:
    """Turn labelled words into features (spec nlp §3.6).

    Args:
        tokenizer: of the encoder.
        punct_label_ids: marks with their ids.
        capit_label_ids: the labels of capitals with theirs.
        max_seq_length: the most pieces, ``[CLS]`` and ``[SEP]`` included; what is longer loses its end.
        ignore_extra_tokens: only the first piece of a word counts in the loss.
        ignore_start_end: ``[CLS]`` and ``[SEP]`` do not count in it.
    """

    def __init__(
        self,
        tokenizer: Tokenizer,
        punct_label_ids: Mapping[str, int],
        capit_label_ids: Mapping[str, int],
        *,
        max_seq_length: int = 512,
        ignore_extra_tokens: bool = False,
        ignore_start_end: bool = True,
    ) -> None:
        self.tokenizer = tokenizer
        self.punct_label_ids, self.capit_label_ids = dict(punct_label_ids), dict(capit_label_ids)
        self.max_seq_length = max_seq_length
        self.ignore_extra_tokens, self.ignore_start_end = ignore_extra_tokens, ignore_start_end

    def __call__(self, sentence: Labelled) -> Features:
        """Return the features of one text.

        Raises:
            DataError: a label is not among the known ones.
        """
        pieces = [self.tokenizer.text_to_ids(word) or [self.tokenizer.unk_id] for word in sentence.words]
        counts = [len(ids) for ids in pieces]
        firsts = np.concatenate([np.arange(count) == 0 for count in counts]) if counts else np.zeros(0, bool)
        punct = np.repeat([self._id(self.punct_label_ids, label[0], sentence) for label in sentence.labels], counts)
        capit = np.repeat([self._id(self.capit_label_ids, label[1], sentence) for label in sentence.labels], counts)
        room = self.max_seq_length - 2
        ends = not self.ignore_start_end

        def framed(values: Any, edge: int, last: int, kind: Any) -> NDArray[Any]:
            return np.concatenate([[edge], np.asarray(values)[:room], [last]]).astype(kind)

        ids = [piece for word in pieces for piece in word]
        loss = firsts if self.ignore_extra_tokens else np.ones(len(ids), bool)
        return Features(
            framed(ids, self.tokenizer.cls_id, self.tokenizer.sep_id, np.int64),
            framed(firsts, 0, 0, np.bool_),
            framed(loss, ends, ends, np.bool_),
            framed(punct, 0, 0, np.int64),
            framed(capit, 0, 0, np.int64),
        )

    @staticmethod
    def _id(known: Mapping[str, int], label: str, sentence: Labelled) -> int:
        if label not in known:
            raise DataError(
                f"the label {label!r} is not one of the model's",
                got=" ".join(sentence.words[:8]),
                expected=", ".join(known),
            )
        return known[label]


def collate(batch: Sequence[Features], pad_id: int = 0) -> dict[str, Tensor]:
    """Pad features to (B, T): ids with ``pad_id``, labels and masks with 0."""
    lengths = [len(features.input_ids) for features in batch]
    shape = (len(batch), max(lengths))
    found = {}
    for name in Features.__dataclass_fields__:
        rows = [getattr(features, name) for features in batch]
        padded = np.full(shape, pad_id if name == "input_ids" else 0, dtype=rows[0].dtype)
        for row, values in zip(padded, rows, strict=True):
            row[: len(values)] = values
        found[name] = torch.from_numpy(padded)
    places = torch.arange(shape[1])
    found["input_mask"] = (places < torch.tensor(lengths)[:, None]).long()
    return found


def build_loader(
    sentences: Iterable[Labelled], featuriser: Featuriser, section: Mapping[str, Any], *, shuffle: bool
) -> ResumableLoader:
    """Return a loader whose batches hold texts of like length.

    Args:
        sentences: the texts.
        featuriser: makes features of them.
        section: ``tokens_in_batch`` (pieces, padding included) or ``batch_size``, and ``num_samples``.
        shuffle: another order every epoch.
    """
    wanted = int(section.get("num_samples") or -1)
    features = [featuriser(sentence) for sentence in sentences]
    features = features[:wanted] if wanted >= 0 else features
    tokens = section.get("tokens_in_batch")
    sampler = DurationBatchSampler(
        [float(len(one.input_ids)) for one in features],
        batch_size=None if tokens else int(section.get("batch_size") or 32),
        batch_duration=float(tokens) if tokens else None,
        shuffle=shuffle,
        seed=section.get("seed"),
    )
    pad_id = int(featuriser.tokenizer.pad_id)
    return ResumableLoader(
        features,
        batch_sampler=sampler,
        collate_fn=lambda batch: collate(batch, pad_id),
    )
