"""Recordings and manifests that tests make for themselves."""

from __future__ import annotations

import io
import json
import tarfile
from pathlib import Path
from typing import Any

import numpy as np
import soundfile

LETTERS = [" ", *"abcdefghijklmnopqrstuvwxyz'"]


def samples(seconds: float, rate: int = 16000, value: float = 0.1) -> np.ndarray:
    """A constant, so that every sample tells which clip it is from; exact in 16 bits."""
    return np.full(round(seconds * rate), round(value * 32768) / 32768, dtype=np.float32)


def manifest(folder: Path, rows: list[dict[str, Any]], name: str = "manifest.json") -> Path:
    path = folder / name
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def clips(folder: Path, durations: list[float], texts: list[str] | None = None, rate: int = 16000) -> Path:
    """A manifest of as many clips; the samples of clip ``i`` are (i + 1) / 100."""
    rows = []
    for place, seconds in enumerate(durations):
        soundfile.write(folder / f"clip{place}.wav", samples(seconds, rate, (place + 1) / 100), rate)
        text = texts[place] if texts else "a" * (place + 1)
        rows.append({"audio_filepath": f"clip{place}.wav", "duration": seconds, "text": text})
    return manifest(folder, rows)


def tarred(folder: Path, shards: int, each: int) -> tuple[list[Path], Path]:
    """Tar files ``audio_<i>.tar`` of ``each`` clips, and their manifest; the text of clip ``i`` has i + 1 letters."""
    rows, paths = [], []
    for shard in range(shards):
        paths.append(folder / f"audio_{shard}.tar")
        with tarfile.open(paths[-1], "w") as tar:
            for place in range(shard * each, (shard + 1) * each):
                content = io.BytesIO()
                soundfile.write(content, samples(0.1, 16000, (place + 1) / 100), 16000, format="FLAC")
                member = tarfile.TarInfo(f"clip{place}.flac")
                member.size = len(content.getvalue())
                content.seek(0)
                tar.addfile(member, content)
                text = "ab"[place % 2] * (place + 1)
                rows.append({"audio_filepath": member.name, "duration": 0.1, "text": text, "shard_id": shard})
    return paths, manifest(folder, rows, "tarred_audio_manifest.json")
