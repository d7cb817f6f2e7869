"""Let a recogniser listen to a voice: character and word errors of what it hears, sentence by sentence.

python examples/tts/listen.py --manifest dev.json --generator runs/fastpitch.nemo --every 4

``--generator``, ``--vocoder`` and ``--recogniser`` take archives or the names of published models. Texts are taken from
``raw_text`` of the manifest if it is there, and compared with ``text``.
"""

import argparse
import json
import time
from pathlib import Path

import torch

from seaspeak.collections.asr.metrics.wer import word_error_rate
from seaspeak.collections.asr.models import ASRModel
from seaspeak.collections.tts.models import SpectrogramGenerator, Vocoder
from seaspeak.core import Model


def load(kind: type[Model], name: str) -> Model:
    """Return a model of an archive, or a published one."""
    return (kind.restore_from(name) if name.endswith(".nemo") else kind.from_pretrained(name)).eval()


def main() -> None:
    """Synthesise, listen, count."""
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--manifest", type=Path, required=True)
    arguments.add_argument("--generator", default="seaspeak_en_fastpitch")
    arguments.add_argument("--vocoder", default="seaspeak_en_hifigan")
    arguments.add_argument("--recogniser", default="seaspeak_en_recogniser")
    arguments.add_argument("--every", type=int, default=1, help="take every so many lines only")
    given = arguments.parse_args()
    generator, vocoder = load(SpectrogramGenerator, given.generator), load(Vocoder, given.vocoder)
    recogniser = load(ASRModel, given.recogniser)
    entries = [json.loads(line) for line in given.manifest.read_text().splitlines()][:: given.every]
    rate, seconds, spent, heard = vocoder.mel_recipe.sample_rate, 0.0, 0.0, []
    with torch.inference_mode():
        for entry in entries:
            start = time.process_time()
            spectrogram = generator.synthesize(entry.get("raw_text") or entry["text"]).spec
            spent += time.process_time() - start
            samples = vocoder.convert_spectrogram_to_audio(spec=spectrogram[None])[0].cpu().numpy()
            seconds += len(samples) / rate
            heard.append(str(recogniser.transcribe([(samples, rate)])[0]))
            print(f"{entry['text']}\n  {heard[-1]}", flush=True)
    texts = [entry["text"] for entry in entries]
    for name, use_cer in (("CER", True), ("WER", False)):
        print(f"{name} {100 * word_error_rate(heard, texts, use_cer=use_cer):.2f} % of {len(texts)} sentences")
    print(f"spectrograms {seconds / spent:.0f} times real time (processor time)")


if __name__ == "__main__":
    main()
