"""Show what a voice swap keeps of what was said: ten recordings, two recognisers, before and after.

    python benchmarks/voice_swap.py --shared ../shared --threads 2

Six recordings of people (development lists: nothing was trained on them) and four that ship are swapped twice, with our
recogniser and with the real QuartzNet as the first stage, and each recogniser hears each original and each new
recording. Errors are of characters, between the text that belongs to the original and what was recognised in the new
recording. Prints Markdown tables.
"""

from __future__ import annotations

import argparse
import json
import platform
import time
from collections.abc import Sequence
from datetime import date
from pathlib import Path

import torch

from seaspeak.collections.asr.metrics.wer import word_error_rate
from seaspeak.collections.asr.models import ASRModel
from seaspeak.pipelines.voice_swap import PUNCTUATION, TTS, VOCODER, Swap, VoiceSwap

SAMPLES = Path(__file__).parents[1] / "src/seaspeak/assets/samples/manifest.json"
QUARTZNET = "data/weights/QuartzNet15x5Base-En.reassembled.nemo"
MOST = 20.0  # per cent of the characters, in each half of the table


def entries(shared: Path) -> list[tuple[Path, str]]:
    """Return ten recordings and their texts."""
    chosen = (("data/librispeech/dev/dev.json", 3), ("data/kathleen/dev.json", 3))
    return [*(each for name, count in chosen for each in some(shared / name, count)), *some(SAMPLES, 4)]


def some(manifest: Path, count: int) -> list[tuple[Path, str]]:
    """Return recordings of 3 to 15 seconds, spread evenly over a list."""
    lines = [json.loads(line) for line in manifest.read_text(encoding="utf-8").splitlines()]
    fitting = [line for line in lines if 3 <= line["duration"] <= 15]
    chosen = fitting[:: len(fitting) // count][:count]
    return [(manifest.parent / line["audio_filepath"], str(line["text"])) for line in chosen]


def character_errors(heard: Sequence[str], said: Sequence[str]) -> float:
    """Return the error rate of characters, in per cent."""
    return 100 * word_error_rate(list(heard), list(said), use_cer=True)


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    print("| " + " | ".join(header) + " |")
    print("|" + "---|" * len(header))
    for row in rows:
        print("| " + " | ".join(row) + " |")
    print(flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--shared", type=Path, default=Path("../shared"))
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--punctuation", default=PUNCTUATION)
    parser.add_argument("--tts", default=TTS)
    parser.add_argument("--vocoder", default=VOCODER)
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    machine = f"{platform.machine()} ({torch.backends.cpu.get_cpu_capability()})"
    print(f"{date.today()}, {machine}, {given.threads} threads, torch {torch.__version__}\n")
    recordings, texts = zip(*entries(given.shared), strict=True)
    recognisers = {
        "ours": ASRModel.from_pretrained("seaspeak_en_recogniser"),
        "QuartzNet": ASRModel.restore_from(given.shared / QUARTZNET),
    }
    first = VoiceSwap(recognisers["ours"], given.punctuation, given.tts, given.vocoder)
    voice = first.speaker
    swappers = {
        "ours": first,
        "QuartzNet": VoiceSwap(recognisers["QuartzNet"], given.punctuation, voice.generator, voice.vocoder),
    }
    originals = {
        name: model.transcribe(list(map(str, recordings)), verbose=False) for name, model in recognisers.items()
    }
    summary = []
    for stage, swapper in swappers.items():
        began = time.perf_counter()
        swaps = list(swapper.batch(map(str, recordings)))
        seconds = time.perf_counter() - began
        after = {
            name: model.transcribe([(swap.samples, swap.sample_rate) for swap in swaps], verbose=False)
            for name, model in recognisers.items()
        }
        show(stage, recordings, texts, originals, swaps, after)
        for judge, heard in after.items():
            against_text, against_heard = character_errors(heard, texts), character_errors(heard, originals[stage])
            spoken = sum(len(swap.samples) / swap.sample_rate for swap in swaps)
            verdict = "yes" if against_text <= MOST else "NO"
            summary.append(
                [stage, judge, f"{against_text:.1f}", verdict, f"{against_heard:.1f}", f"{seconds / spoken:.2f}"]
            )
    table(
        ["recogniser stage", "judged by", "CER % against the text", f"≤ {MOST:.0f} %", "against what was heard", "RTF"],
        summary,
    )


def show(
    stage: str,
    recordings: Sequence[Path],
    texts: Sequence[str],
    originals: dict[str, list[str]],
    swaps: Sequence[Swap],
    after: dict[str, list[str]],
) -> None:
    """Print what was said, heard, spoken, and heard again."""
    print(f"## Recogniser stage: {stage}\n")
    rows = []
    for place, (recording, text, swap) in enumerate(zip(recordings, texts, swaps, strict=True)):
        cells = [("text", text), ("spoken", swap.text)]
        cells += [(f"original by {name}", heard[place]) for name, heard in originals.items()]
        cells += [(f"swapped by {name}", heard[place]) for name, heard in after.items()]
        errors = ", ".join(f"{character_errors([heard[place]], [text]):.0f}" for heard in after.values())
        rows += [
            [recording.name if not number else "", what, said, errors if not number else ""]
            for number, (what, said) in enumerate(cells)
        ]
    table(["recording", "", "", "CER %"], rows)


if __name__ == "__main__":
    main()
