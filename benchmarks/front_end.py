"""The mel front end against its plain formulation, and NeMo's if that is installed: milliseconds and real-time factors.

python benchmarks/front_end.py [--threads 1] [--seconds 15]
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable

import torch
from torch import Tensor

from seaspeak.audio.features import FilterbankFeatures


def milliseconds(calls: dict[str, Callable[[], object]], rounds: int) -> dict[str, float]:
    """Return the median time of each call; the calls take turns, so that a busy moment hits all of them."""
    times: dict[str, list[float]] = {name: [] for name in calls}
    for round_number in range(rounds + 2):
        for name, call in calls.items():
            start = time.perf_counter()
            call()
            if round_number >= 2:  # the first two warm up
                times[name].append((time.perf_counter() - start) * 1e3)
    return {name: statistics.median(each) for name, each in times.items()}


def plain(featurizer: FilterbankFeatures, signal: Tensor, length: Tensor) -> Tensor:
    """Return the features by the formulation for batches, which is NeMo's."""
    with torch.no_grad():
        frames = featurizer.get_seq_len(length)
        return featurizer._features_by_batch(featurizer._prepared(signal), length, frames)


def nemo() -> Callable[[Tensor, Tensor], object] | None:
    """Return NeMo's front end, None if it is not installed."""
    try:
        from nemo.collections.asr.modules import AudioToMelSpectrogramPreprocessor
    except ImportError:
        return None
    preprocessor = AudioToMelSpectrogramPreprocessor(dither=0.0).eval()
    return lambda signal, length: preprocessor(input_signal=signal, length=length)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--seconds", type=float, default=15.0)
    parser.add_argument("--rounds", type=int, default=20)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    peer = nemo()
    for batch in (1, 8):
        samples = round(16000 * options.seconds)
        signal, length = torch.randn(batch, samples) * 0.1, torch.full((batch,), samples)
        featurizer = FilterbankFeatures(dither=0.0).eval()
        difference = (featurizer(signal, length)[0] - plain(featurizer, signal, length)).abs().max()
        calls: dict[str, Callable[[], object]] = {
            "by item": lambda f=featurizer, s=signal, n=length: f(s, n),
            "plain": lambda f=featurizer, s=signal, n=length: plain(f, s, n),
        }
        if peer is not None:
            calls["NeMo"] = lambda s=signal, n=length: peer(s, n)
        times = milliseconds(calls, options.rounds)
        for name, taken in times.items():
            factor = batch * options.seconds * 1e3 / taken
            ratio = taken / times["by item"]
            print(f"{batch} x {options.seconds:g} s  {name:8} {taken:8.2f} ms  {factor:7.0f} x real time  {ratio:5.2f}")
        print(f"largest difference of the two formulations: {difference:.1e}")


if __name__ == "__main__":
    main()
