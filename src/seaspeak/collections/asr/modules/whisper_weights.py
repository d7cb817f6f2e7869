"""Whisper's published weights in CTranslate2's binary form, read without that library.

The file: version, name of the specification, revision, number of variables; for each variable its name, its shape, its
type, its size and its values; little-endian throughout. Texts are a 16-bit length, that many bytes, the last one zero.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from seaspeak.core.errors import ArchiveError, FileMissingError

_TYPES = (np.dtype("<f4"), np.dtype("i1"), np.dtype("<i2"), np.dtype("<i4"), np.dtype("<f2"))
_VERSION = 6


class _Reader:
    """Numbers and texts, one after another."""

    def __init__(self, content: bytes) -> None:
        self._content, self._place = content, 0

    def number(self, form: str) -> int:
        (value,) = struct.unpack(f"<{form}", self.take(struct.calcsize(f"<{form}")))
        return int(value)

    def text(self) -> str:
        return self.take(self.number("H"))[:-1].decode()

    def take(self, size: int) -> bytes:
        found = self._content[self._place : self._place + size]
        if len(found) < size:
            raise ValueError(f"it ends at byte {len(self._content)}")
        self._place += size
        return found


def read_ctranslate2(path: str | os.PathLike[str]) -> dict[str, Tensor]:
    """Return the variables of a ``model.bin`` by name; half-precision ones as float32.

    Raises:
        FileMissingError: there is no such file.
        ArchiveError: it is something else, or damaged.
    """
    path = Path(path)
    if not path.is_file():
        raise FileMissingError(f"there is no file {path}")
    try:
        return _variables(_Reader(path.read_bytes()))
    except (ValueError, IndexError, UnicodeDecodeError) as error:
        raise ArchiveError(f"{path} is not a model of CTranslate2, or damaged: {error}") from error


def _variables(reader: _Reader) -> dict[str, Tensor]:
    version = reader.number("I")
    if version != _VERSION:
        raise ValueError(f"version {version}, not {_VERSION}")
    reader.text()
    reader.number("I")
    found = {}
    for _ in range(reader.number("I")):
        name = reader.text()
        shape = [reader.number("I") for _ in range(reader.number("B"))]
        kind = _TYPES[reader.number("B")]
        values = np.frombuffer(reader.take(reader.number("I")), kind).reshape(shape)
        found[name] = torch.from_numpy(values.astype(np.float32 if kind.kind == "f" else kind.newbyteorder("=")))
    return found


def whisper_state_dict(variables: Mapping[str, Tensor], pieces: Sequence[int]) -> dict[str, Tensor]:
    """Return the weights of ``WhisperEncoder`` and ``WhisperDecoder``, prefixed ``encoder.`` and ``decoder.``.

    Args:
        variables: what `read_ctranslate2` found; position encodings of the encoder are computed, not taken.
        pieces: which rows of the embedding to take, in the order of the reduced vocabulary.
    """
    found = {
        "decoder.embedding.weight": variables["decoder/embeddings/weight"][list(pieces)],
        "decoder.positions": variables["decoder/position_encodings/encodings"],
    }
    for theirs, value in variables.items():
        ours = _our_name(theirs)
        if ours:
            found[ours] = value
    return found


_PLACES = {
    "self_attention/layer_norm": "attention_norm",
    "self_attention/linear_0": "attention.qkv",
    "self_attention/linear_1": "attention.out",
    "attention/layer_norm": "cross_norm",
    "attention/linear_0": "cross.query",
    "attention/linear_1": "cross.key_value",
    "attention/linear_2": "cross.out",
    "ffn/layer_norm": "feed_forward_norm",
    "ffn/linear_0": "feed_forward.up",
    "ffn/linear_1": "feed_forward.down",
    "layer_norm": "norm",
    "conv1": "conv1",
    "conv2": "conv2",
}
_LEAVES = {"gamma": "weight", "beta": "bias", "weight": "weight", "bias": "bias"}


def _our_name(theirs: str) -> str | None:
    """Return our name of a variable of a layer or a convolution; None for everything else."""
    side, _, rest = theirs.partition("/")
    layer = ""
    if rest.startswith("layer_") and not rest.startswith("layer_norm"):
        number, _, rest = rest.removeprefix("layer_").partition("/")
        layer = f"layers.{number}."
    place, _, leaf = rest.rpartition("/")
    if place in _PLACES and leaf in _LEAVES:
        return f"{side}.{layer}{_PLACES[place]}.{_LEAVES[leaf]}"
    return None
