"""Measure NVIDIA's QuartzNet 15x5 on the development lists: word errors, time, and the published errors beside them.

    python benchmarks/asr_wer.py --shared ../shared --archive QuartzNet15x5Base-En.nemo

Prints Markdown tables. The published figures, per utterance, are those of the original FLAC files; the recordings here
went through a codec since. Every recording is transcribed in a batch with others of its length.
"""

from __future__ import annotations

import argparse
import csv
import json
import platform
import time
from collections.abc import Sequence
from datetime import date
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch

from seaspeak.audio.io import read
from seaspeak.collections.asr.metrics.wer import count_edits, word_error_rate
from seaspeak.collections.asr.models import EncDecCTCModel
from seaspeak.collections.asr.models.scorer import TorchScorer
from seaspeak.collections.asr.recognition import FrameRecogniser

# list, and what its README says of this network: WER and CER in percent, on every n-th recording
LISTS = {
    "librispeech/dev": ("librispeech/dev/dev.json", 10.5, 3.9, 2),
    "kathleen/dev": ("kathleen/dev.json", 3.7, 1.2, 1),
    "ljspeech": ("ljspeech/all.json", 3.6, 1.3, 1),
    "an4/val": ("an4/val.json", None, None, 1),
}


class Heard(NamedTuple):
    """One list, transcribed."""

    names: list[str]
    texts: list[str]
    references: list[str]
    audio: float
    seconds: float


def hear(model: EncDecCTCModel, manifest: Path, batch_size: int) -> Heard:
    """Transcribe a list."""
    lines = [json.loads(line) for line in manifest.read_text().splitlines()]
    started = time.perf_counter()
    texts = model.transcribe([manifest.parent / line["audio_filepath"] for line in lines], batch_size=batch_size)
    elapsed = time.perf_counter() - started
    names = [Path(line["audio_filepath"]).stem for line in lines]
    return Heard(names, texts, [line["text"] for line in lines], sum(line["duration"] for line in lines), elapsed)


def published(path: Path) -> dict[str, float]:
    """Return the published error of each utterance."""
    with path.open() as file:
        return {row["utterance"]: float(row["QuartzNet15x5Base-En"]) for row in csv.DictReader(file, delimiter="\t")}


def against_published(heard: Heard, known: dict[str, float]) -> list[list[str]]:
    """Compare the errors of each utterance with the published ones."""
    rows = []
    ours = {n: count_edits(t, r) for n, t, r in zip(heard.names, heard.texts, heard.references, strict=True)}
    words = sum(ours[name].units for name in known if name in ours)
    theirs = {name: round(known[name] * ours[name].units) for name in ours if name in known}
    apart = [ours[name].errors - theirs[name] for name in theirs]
    rows.append(["utterances in both", str(len(theirs))])
    rows.append(["published WER, word-weighted", f"{100 * sum(theirs.values()) / words:.2f} %"])
    rows.append(["ours on the same", f"{100 * sum(ours[name].errors for name in theirs) / words:.2f} %"])
    rows.append(["with the same number of errors", str(sum(difference == 0 for difference in apart))])
    rows.append(["fewer, more", f"{sum(d < 0 for d in apart)}, {sum(d > 0 for d in apart)}"])
    rows.append(["largest difference, words", str(max(map(abs, apart)))])
    return rows


def long_recording(model: EncDecCTCModel, manifest: Path, minutes: float, window: float) -> list[list[str]]:
    """Join recordings, and compare one pass over them with windows that overlap by the receptive field."""
    samples: list[Any] = []
    for line in map(json.loads, manifest.read_text().splitlines()):
        samples.append(read(manifest.parent / line["audio_filepath"], sample_rate=model.sample_rate).samples)
        if sum(map(len, samples)) >= minutes * 60 * model.sample_rate:
            break
    joined = np.concatenate(samples)
    recogniser = FrameRecogniser(TorchScorer(model), model.decoding, window_seconds=window, keep=True)
    one_pass = recogniser.recognise([joined])[0]
    windows = recogniser.recognise_long(lambda: np.array_split(joined, 50))
    apart = float(np.abs(windows.y_sequence - one_pass.y_sequence).max())
    return [
        ["seconds of audio, of a window", f"{len(joined) / model.sample_rate:.0f}, {window:.0f}"],
        ["words", str(len(one_pass.words))],
        ["words that differ", str(count_edits(windows.text, one_pass.text).errors)],
        ["largest difference of a log-probability", f"{apart:.1e}"],
    ]


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    print("| " + " | ".join(header) + " |")
    print("|" + "---|" * len(header))
    for row in rows:
        print("| " + " | ".join(row) + " |")
    print(flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--shared", type=Path, default=Path("../shared"))
    parser.add_argument("--archive", type=Path, required=True)
    parser.add_argument("--minutes", type=float, default=10.0, help="of recordings joined into a long one; 0: none")
    parser.add_argument("--batch-size", type=int, default=4)
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    data = options.shared / "data"
    model = EncDecCTCModel.restore_from(options.archive, map_location="cpu").eval()
    print(
        f"{date.today()}, {platform.machine()} ({torch.backends.cpu.get_cpu_capability()}), {options.threads} threads\n"
    )
    rows, first = [], None
    for name, (manifest, wer, cer, every) in LISTS.items():
        heard = hear(model, data / manifest, options.batch_size)
        first = first or heard
        texts, references = heard.texts[::every], heard.references[::every]
        rows.append(
            [
                name,
                str(len(heard.texts)),
                f"{100 * word_error_rate(heard.texts, heard.references):.2f}",
                f"{100 * word_error_rate(heard.texts, heard.references, use_cer=True):.2f}",
                f"{100 * word_error_rate(texts, references):.2f}" if every > 1 else "all",
                "-" if wer is None else f"{wer} / {cer}",
                f"{heard.audio / heard.seconds:.0f}",
            ]
        )
    header = ["list", "recordings", "WER %", "CER %", "WER %, as measured before", "WER / CER % before", "× real time"]
    table(header, rows)
    assert first is not None
    table(
        ["librispeech/dev, utterance by utterance", ""],
        against_published(first, published(data / "librispeech" / "nemo_published_wer.tsv")),
    )
    if options.minutes:
        manifest = data / LISTS["librispeech/dev"][0]
        table(["a long recording, one pass and windows", ""], long_recording(model, manifest, options.minutes, 150.0))


if __name__ == "__main__":
    main()
