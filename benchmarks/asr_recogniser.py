"""Measure the recogniser that ships: errors, word times, long recordings, speed, and silence, noise and music.

    python benchmarks/asr_recogniser.py --shared ../shared --threads 2

Prints Markdown tables. The lists are development lists: nothing is trained or chosen on them.
"""

from __future__ import annotations

import argparse
import json
import platform
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from datetime import date
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from seaspeak.audio import io as audio
from seaspeak.audio.resample import resample
from seaspeak.collections.asr.metrics.wer import word_error_rate
from seaspeak.collections.asr.models import ASRModel
from seaspeak.text.transcript import Transcript

sys.path.insert(0, str(Path(__file__).parents[1] / "examples/asr"))
from whisper_features import Noise

RATE = 16000
Samples = NDArray[np.float32]
LISTS = ("librispeech/dev/dev.json", "kathleen/dev.json", "ljspeech/all.json")


class List:
    """Recordings with their texts, in memory."""

    def __init__(self, manifest: Path, every: int = 1) -> None:
        lines = [json.loads(line) for line in manifest.read_text().splitlines()][::every]
        self.signals = [
            audio.read(manifest.parent / line["audio_filepath"], sample_rate=RATE).samples for line in lines
        ]
        self.texts = [str(line["text"]) for line in lines]

    @property
    def seconds(self) -> float:
        """Length of all recordings."""
        return sum(map(len, self.signals)) / RATE


def transcribed(model: ASRModel, signals: Sequence[Samples], batch_size: int = 8) -> tuple[list[Transcript], float]:
    """Return the transcripts and how long they took, in seconds."""
    began = time.perf_counter()
    found = model.transcribe(list(signals), batch_size=batch_size, sample_rate=RATE, timestamps=True, verbose=False)
    return found, time.perf_counter() - began  # type: ignore[return-value]


def error_rates(model: ASRModel, data: Path, every: int) -> None:
    print("| list | clips | minutes | WER % | CER % | times real time |\n|---|---|---|---|---|---|")
    for name in LISTS:
        clips = List(data / name, every)
        found, took = transcribed(model, clips.signals)
        texts = [transcript.text for transcript in found]
        wer, cer = (100 * word_error_rate(texts, clips.texts, use_cer=use_cer) for use_cer in (False, True))
        minutes, speed = clips.seconds / 60, clips.seconds / took
        print(f"| {name} | {len(texts)} | {minutes:.1f} | {wer:.2f} | {cer:.2f} | {speed:.1f} |", flush=True)


def joined(model: ASRModel, clips: List) -> None:
    """Compare the clips one by one with all of them in one recording."""
    single = [transcript.text for transcript in transcribed(model, clips.signals)[0]]
    whole = transcribed(model, [np.concatenate(clips.signals)])[0][0].text
    apart = 100 * word_error_rate(single, clips.texts)
    together = 100 * word_error_rate([whole], [" ".join(clips.texts)])
    print(f"| clips one by one | {apart:.2f} |\n| joined into one recording | {together:.2f} |", flush=True)


def robustness(model: ASRModel, clips: List, noises: Noise) -> None:
    def noisy(decibel: float) -> Callable[[Samples], Samples]:
        def add(signal: Samples) -> Samples:
            noise = noises.room(len(signal))
            gain = np.sqrt(np.mean(signal**2) / np.mean(noise**2) / 10 ** (decibel / 10))
            return (signal + gain * noise).astype(np.float32)

        return add

    changes: dict[str, Callable[[Samples], Samples]] = {
        "recorded noise, 20 dB": noisy(20),
        "recorded noise, 10 dB": noisy(10),
        "telephone band (8 kHz and back)": lambda signal: resample(resample(signal, RATE, 8000), 8000, RATE),
        "a hundredth of the level": lambda signal: 0.01 * signal,
    }
    for name, change in changes.items():
        found, _ = transcribed(model, [change(signal) for signal in clips.signals])
        rate = 100 * word_error_rate([transcript.text for transcript in found], clips.texts)
        print(f"| {name} | {rate:.2f} |", flush=True)


# --- word times -------------------------------------------------------------------------------------------------------


def forced_alignment(log_probs: NDArray[np.float32], text: str, vocabulary: list[str]) -> list[tuple[float, float]]:
    """Return start and end of each word, in frames, on the best CTC path for a known text."""
    blank = len(vocabulary)
    states = [blank]
    for letter in text:
        states += [vocabulary.index(letter), blank]
    labels = np.array(states)
    skips = np.concatenate([[False, False], (labels[2:] != blank) & (labels[2:] != labels[:-2])])
    total = np.full(len(labels), -np.inf)
    total[:2] = log_probs[0, labels[:2]]
    moves = np.zeros((len(log_probs), len(labels)), dtype=int)
    for frame in range(1, len(log_probs)):
        shifted = [np.concatenate([np.full(by, -np.inf), total[: len(total) - by]]) for by in range(3)]
        choices = np.stack([shifted[0], shifted[1], np.where(skips, shifted[2], -np.inf)])
        moves[frame] = choices.argmax(axis=0)
        total = choices.max(axis=0) + log_probs[frame, labels]
    state = len(labels) - (1 if total[-1] > total[-2] else 2)
    path = [state]
    for frame in range(len(log_probs) - 1, 0, -1):
        state -= moves[frame, state]
        path.append(state)
    frames = np.array(path[::-1])
    words, letter = [], 0
    for word in text.split(" "):
        first = np.flatnonzero(frames == 2 * letter + 1)[0]
        last = np.flatnonzero(frames == 2 * (letter + len(word) - 1) + 1)[-1]
        words.append((float(first), float(last + 1)))
        letter += len(word) + 1
    return words


def word_times(model: ASRModel, aligner: ASRModel, clips: List) -> None:
    """Compare word times with a forced alignment, on clips that were recognised without an error."""
    found, _ = transcribed(model, clips.signals)
    right = [place for place, text in enumerate(clips.texts) if found[place].text == text]
    scores = aligner.transcribe([clips.signals[place] for place in right], logprobs=True, verbose=False)
    starts, ends = [], []
    for place, log_probs in zip(right, scores, strict=True):
        expected = forced_alignment(np.asarray(log_probs), clips.texts[place], aligner.vocabulary)  # type: ignore[arg-type]
        for word, (start, end) in zip(found[place].words, expected, strict=True):
            starts.append(word.start - 0.02 * start)
            ends.append(word.end - 0.02 * end)
    for name, differences in (("starts", starts), ("ends", ends), ("both", starts + ends)):
        sizes = sorted(map(abs, differences))
        middle, high = statistics.median(sizes), sizes[int(0.9 * len(sizes))]
        print(
            f"| {name} | {len(sizes)} | {middle:.3f} | {high:.3f} | {statistics.median(differences):+.3f} |", flush=True
        )


# --- nobody speaks, and speed -----------------------------------------------------------------------------------------


def nobody(model: ASRModel, noises: Noise, seconds: float = 8.0, count: int = 20) -> None:
    """Count clips without speech for which something is written."""
    length = int(RATE * seconds)
    kinds: dict[str, Callable[[int], NDArray[np.float64]]] = {
        "digital silence": np.zeros,
        "recorded noise": noises.room,
        "white to dark noise": noises.coloured,
        "hum": noises.hum,
        "beeps": noises.beeps,
        "clicks": noises.clicks,
        "made-up music": noises.music,
    }
    for name, make in kinds.items():
        made = [make(length) for _ in range(count)]
        clips = [(0.3 * clip / max(1e-9, np.abs(clip).max())).astype(np.float32) for clip in made]
        texts = [transcript.text for transcript in transcribed(model, clips)[0] if transcript.text]
        print(f"| {name} | {count} | {len(texts)} | {texts[0] if texts else ''} |", flush=True)


def speed(model: ASRModel, clips: List) -> None:
    """Time clips of about ten seconds, alone and in batches."""
    stream = np.concatenate(clips.signals)
    pieces = [stream[start : start + 10 * RATE] for start in range(0, 32 * 10 * RATE, 10 * RATE)]
    for batch_size in (1, 4, 16):
        used = pieces[: max(8, batch_size)]
        transcribed(model, used[:batch_size], batch_size)
        took = min(transcribed(model, used, batch_size)[1] for _ in range(3))
        print(f"| {batch_size} | {10 * len(used) / took:.1f} |", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="seaspeak_en_recogniser", help="a name, or the path of an archive")
    parser.add_argument("--shared", type=Path, default=Path("../shared"), help="folder with the data")
    parser.add_argument("--every", type=int, default=1, help="use every n-th clip of the lists")
    parser.add_argument("--threads", type=int, default=2)
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    restore = ASRModel.restore_from if given.model.endswith(".nemo") else ASRModel.from_pretrained
    model, data = restore(given.model, map_location="cpu"), given.shared / "data"
    noises = Noise(data / "speech_commands/noise", seed=2024)
    kathleen = List(data / "kathleen/dev.json", given.every)

    print(f"{date.today()}, {platform.machine()}, {given.threads} threads, torch {torch.__version__}\n")
    error_rates(model, data, given.every)
    print("\n| kathleen/dev | WER % |\n|---|---|")
    joined(model, kathleen)
    robustness(model, kathleen, noises)
    print("\n| 8 s without speech | clips | with text | first text |\n|---|---|---|---|")
    nobody(model, noises)
    print("\n| clips of 10 s in a batch | times real time |\n|---|---|")
    speed(model, List(data / "librispeech/dev/dev.json", 3))
    print("\n| word times against forced alignment | words | median s | 90 % s | bias s |\n|---|---|---|---|---|")
    aligner = ASRModel.restore_from(data / "weights/QuartzNet15x5Base-En.reassembled.nemo", map_location="cpu")
    word_times(model, aligner, kathleen)


if __name__ == "__main__":
    main()
