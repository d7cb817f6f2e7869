"""HiFi-GAN beside NeMo, a plain formulation and what the processor can do, in alternating rounds.

python benchmarks/tts_vocoders.py [--nemo PYTHON] [--seconds 5] [--rounds 3]
python benchmarks/tts_vocoders.py --kathleen ../shared

``--nemo`` is a Python with nemo_toolkit 3.0.0, which runs in a process of its own and takes turns with this one.
The floor is the time that matrix products of 1536 x 1536 take for as many operations as the network has.
"""

from __future__ import annotations

import argparse
import json
import re
import statistics
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch.utils.flop_counter import FlopCounterMode

RATE, HOP, BANDS = 22050, 256, 80
PAIRS = {"resblock": 1, "resblock_kernel_sizes": [3, 7, 11], "resblock_dilation_sizes": [[1, 3, 5]] * 3}
SINGLES = {"resblock": 2, "resblock_kernel_sizes": [3, 5, 7], "resblock_dilation_sizes": [[1, 2], [2, 6], [3, 12]]}
FOUR = {"upsample_rates": [8, 8, 2, 2], "upsample_kernel_sizes": [16, 16, 4, 4]}
THREE = {"upsample_rates": [8, 8, 4], "upsample_kernel_sizes": [16, 16, 8]}
VARIANTS: dict[str, dict[str, Any]] = {
    "V1": {**PAIRS, **FOUR, "upsample_initial_channel": 512},
    "V2": {**PAIRS, **FOUR, "upsample_initial_channel": 128},
    "V3": {**SINGLES, **THREE, "upsample_initial_channel": 256},
}
NEMO = """
import json, sys, time, torch
from nemo.collections.tts.modules.hifigan_modules import Generator
torch.set_num_threads(int(sys.argv[1]))
made = {name: Generator(**config).eval() for name, config in json.loads(sys.argv[2]).items()}
print("ready", flush=True)
for line in sys.stdin:
    name, frames = line.split()
    spec = torch.randn(1, 80, int(frames)) - 5
    with torch.inference_mode():
        start = time.perf_counter()
        made[name](x=spec)
        print(time.perf_counter() - start, flush=True)
"""


class Nemo:
    """NeMo's generators in a process that computes when it is asked to."""

    def __init__(self, python: str, threads: int) -> None:
        command = [python, "-c", NEMO, str(threads), json.dumps(VARIANTS)]
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
        )
        while self._answer() != "ready":
            pass

    def _answer(self) -> str:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError("NeMo's process ended; does its Python have nemo_toolkit with tts?")
        return line.strip()

    def seconds(self, name: str, frames: int) -> float:
        """Return how long a generator took for so many frames."""
        assert self._process.stdin is not None
        print(name, frames, file=self._process.stdin, flush=True)
        return float(self._answer())


def timed(compute: Callable[[], object]) -> float:
    start = time.perf_counter()
    compute()
    return time.perf_counter() - start


def measure(name: str, frames: int, rounds: int, nemo: Nemo | None) -> dict[str, float]:
    """Return times real time for each way to compute one generator, their medians, and what they cost and differ."""
    from seaspeak.collections.tts.modules.hifigan import Generator

    torch.manual_seed(0)
    generator, spec = Generator(**VARIANTS[name]).eval(), torch.randn(1, BANDS, frames) - 5
    with FlopCounterMode(display=False) as counter:
        reference = generator.plain(spec)
    operations = counter.get_total_flops()
    side = torch.randn(1536, 1536)
    ways: dict[str, Callable[[], float]] = {
        "floor": lambda: timed(lambda: side @ side) * operations / (2 * 1536**3),
        "plain": lambda: timed(lambda: generator.plain(spec)),
        "ours": lambda: timed(lambda: generator(x=spec)),
    }
    if nemo is not None:
        ways["nemo"] = lambda: nemo.seconds(name, frames)
    found: dict[str, list[float]] = {way: [] for way in ways}
    for turn in range(rounds + 1):  # the first warms up
        for way, once in ways.items():
            seconds = once()
            if turn:
                found[way].append(seconds)
    sound = frames * HOP / RATE
    audio = generator(x=spec).audio
    return {
        **{way: sound / statistics.median(seconds) for way, seconds in found.items()},
        "of floor": statistics.median(a / b for a, b in zip(found["floor"], found["ours"], strict=True)),
        **(
            {"of nemo": statistics.median(a / b for a, b in zip(found["nemo"], found["ours"], strict=True))}
            if nemo is not None
            else {}
        ),
        "GFLOP per s": operations / sound / 1e9,
        "difference": float((audio - reference).abs().max() / reference.abs().max()),
    }


def measure_voice(seconds: float) -> dict[str, float]:
    """Return what a user of the vocoder that ships waits for."""
    from seaspeak.collections.tts.models import Vocoder

    loading = time.perf_counter()
    vocoder = Vocoder.from_pretrained("seaspeak_en_hifigan", map_location="cpu")
    loading = time.perf_counter() - loading
    frames = int(seconds * RATE / HOP)
    spec = torch.randn(1, BANDS, frames) - 5
    vocoder.convert_spectrogram_to_audio(spec=spec[..., :40])
    start = time.perf_counter()
    chunks = vocoder.stream(spec)
    pieces = [next(chunks)]
    first = time.perf_counter() - start
    pieces += list(chunks)
    streamed = time.perf_counter() - start
    whole = vocoder.convert_spectrogram_to_audio(spec=spec)
    difference = float((torch.cat(pieces, 1) - whole).abs().max() / whole.abs().max())
    return {
        "load s": loading,
        "first chunk s": first,
        "streamed x real time": frames * HOP / RATE / streamed,
        "difference": difference,
    }


def copy_synthesis(shared: Path) -> dict[str, float]:
    """Return what QuartzNet mishears of Kathleen's development clips, and of what is made from their spectrograms."""
    from seaspeak.audio.io import read
    from seaspeak.collections.asr.metrics.wer import word_error_rate
    from seaspeak.collections.asr.models import EncDecCTCModel
    from seaspeak.collections.tts.models import Vocoder

    vocoder = Vocoder.from_pretrained("seaspeak_en_hifigan", map_location="cpu")
    judge = EncDecCTCModel.restore_from(shared / "data/weights/QuartzNet15x5Base-En.reassembled.nemo").eval()
    listed = shared / "data/kathleen/dev.json"
    entries = [json.loads(line) for line in listed.read_text().splitlines()]
    clips = [read(listed.parent / entry["audio_filepath"], sample_rate=RATE).samples for entry in entries]
    made = []
    for clip in clips:
        mel, _ = vocoder.audio_to_melspec_precessor(torch.from_numpy(clip)[None], torch.tensor([len(clip)]))
        made.append(vocoder.convert_spectrogram_to_audio(spec=mel)[0].numpy())
    texts = [re.sub(r"[^a-z' ]", "", entry["text"].lower()) for entry in entries]
    found = {}
    for kind, signals in (("recordings", clips), ("copies", made)):
        heard = judge.transcribe(signals, sample_rate=RATE, verbose=False)
        found[f"WER {kind} %"] = 100 * word_error_rate(heard, texts)
        found[f"CER {kind} %"] = 100 * word_error_rate(heard, texts, use_cer=True)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--nemo", help="a Python with nemo_toolkit 3.0.0")
    parser.add_argument("--seconds", type=float, default=5.0)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--kathleen", type=Path, help="the shared folder: copy-synthesis of all 102 clips instead")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    if arguments.kathleen:
        found = copy_synthesis(arguments.kathleen)
        print("  ".join(f"{what} {value:.2f}" for what, value in found.items()))
        return
    nemo = Nemo(arguments.nemo, arguments.threads) if arguments.nemo else None
    frames = int(arguments.seconds * RATE / HOP)
    with torch.inference_mode():
        for name in VARIANTS:
            found = measure(name, frames, arguments.rounds, nemo)
            print(name, "  ".join(f"{what} {value:.3g}" for what, value in found.items()), flush=True)
        print("voice", "  ".join(f"{what} {value:.3g}" for what, value in measure_voice(arguments.seconds).items()))


if __name__ == "__main__":
    main()
