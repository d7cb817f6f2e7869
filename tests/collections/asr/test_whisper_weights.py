"""Reading Whisper's published weights."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
import pytest
import torch

from seaspeak.collections.asr.modules.whisper import WhisperDecoder, WhisperEncoder
from seaspeak.collections.asr.modules.whisper_weights import read_ctranslate2, whisper_state_dict
from seaspeak.core.errors import ArchiveError, FileMissingError


def text(value: str) -> bytes:
    return struct.pack("<H", len(value) + 1) + value.encode() + b"\0"


def binary(variables: dict[str, np.ndarray], version: int = 6) -> bytes:
    out = struct.pack("<I", version) + text("WhisperSpec") + struct.pack("<II", 3, len(variables))
    for name, value in variables.items():
        kind = {"float16": 4, "float32": 0, "int16": 2, "int8": 1}[value.dtype.name]
        shape = struct.pack(f"<B{value.ndim}I", value.ndim, *value.shape)
        out += text(name) + shape + struct.pack("<BI", kind, value.nbytes) + value.tobytes()
    return out


def published(
    width: int = 8, bands: int = 5, pieces: int = 12, layers: int = 2, texts: int = 16
) -> dict[str, np.ndarray]:
    """Variables by the names of the published file, with random values."""
    sizes: dict[str, tuple[int, ...]] = {
        "encoder/conv1/weight": (width, bands, 3), "encoder/conv1/bias": (width,),
        "encoder/conv2/weight": (width, width, 3), "encoder/conv2/bias": (width,),
        "encoder/position_encodings/encodings": (20, width),
        "decoder/embeddings/weight": (pieces, width), "decoder/position_encodings/encodings": (texts, width),
    }  # fmt: skip
    for side in ("encoder", "decoder"):
        norms, products = [f"{side}/layer_norm"], {}
        for layer in range(layers):
            at = f"{side}/layer_{layer}"
            norms += [f"{at}/self_attention/layer_norm", f"{at}/ffn/layer_norm"]
            products |= {
                f"{at}/self_attention/linear_0": (3 * width, width), f"{at}/self_attention/linear_1": (width, width),
                f"{at}/ffn/linear_0": (4 * width, width), f"{at}/ffn/linear_1": (width, 4 * width),
            }  # fmt: skip
            if side == "decoder":
                norms.append(f"{at}/attention/layer_norm")
                products |= {
                    f"{at}/attention/linear_0": (width, width), f"{at}/attention/linear_1": (2 * width, width),
                    f"{at}/attention/linear_2": (width, width),
                }  # fmt: skip
        sizes |= {f"{name}/{leaf}": (width,) for name in norms for leaf in ("gamma", "beta")}
        sizes |= {f"{name}/weight": size for name, size in products.items()}
        sizes |= {f"{name}/bias": size[:1] for name, size in products.items()}
    rng = np.random.default_rng(0)
    return {name: rng.normal(scale=0.02, size=size).astype(np.float16) for name, size in sizes.items()}


def test_variables_come_back(tmp_path: Path) -> None:
    variables = {"a/b": np.arange(6, dtype=np.float16).reshape(2, 3), "n": np.array(7, np.int16), "f": np.ones(2, "f4")}
    (tmp_path / "model.bin").write_bytes(binary(variables))

    found = read_ctranslate2(tmp_path / "model.bin")

    assert {name: value.dtype for name, value in found.items()} == {
        "a/b": torch.float32, "n": torch.int16, "f": torch.float32,
    }  # fmt: skip
    assert all(np.array_equal(found[name].numpy(), value) for name, value in variables.items())


def test_published_names_fill_the_networks(tmp_path: Path) -> None:
    variables = published()
    (tmp_path / "model.bin").write_bytes(binary(variables))

    state = whisper_state_dict(read_ctranslate2(tmp_path / "model.bin"), pieces=[11, 0, 5])

    for side, network in (
        ("encoder", WhisperEncoder(feat_in=5, d_model=8, num_heads=2, num_layers=2, max_frames=20)),
        ("decoder", WhisperDecoder(num_tokens=3, d_model=8, num_heads=2, num_layers=2, max_tokens=16)),
    ):
        network.load_state_dict({k.removeprefix(f"{side}."): v for k, v in state.items() if k.startswith(side)})
    row = variables["decoder/embeddings/weight"][5].astype(np.float32)
    assert np.array_equal(state["decoder.embedding.weight"][2].numpy(), row)
    assert len(state) == len(variables) - 1  # all but the encoder's positions


@pytest.mark.parametrize("content", [b"", b"\x06", binary({}, version=5), binary({"a": np.ones(9, "f4")})[:-3]])
def test_another_file_is_an_error(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "model.bin").write_bytes(content)
    with pytest.raises(ArchiveError, match=r"model\.bin is not a model of CTranslate2"):
        read_ctranslate2(tmp_path / "model.bin")


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileMissingError, match="no file"):
        read_ctranslate2(tmp_path / "none.bin")
