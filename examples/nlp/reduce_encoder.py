"""Make a smaller BERT of a larger one: fewer layers, and no pieces that a body of texts hardly needs.

python examples/nlp/reduce_encoder.py minilm/ small/ --texts ../shared/data/text/punct/train --minimum 5
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from safetensors.torch import load_file, save_file

from seaspeak.collections.nlp.data.punctuation import label_text, read_genres
from seaspeak.text.wordpiece import prune, read_vocabulary

_WORDS = "embeddings.word_embeddings.weight"
_LAYER = "encoder.layer."


def reduce(source: Path, target: Path, texts: Path, minimum: int, layers: list[int]) -> None:
    """Write the encoder of ``source``, reduced, into the folder ``target``."""
    config = json.loads((source / "config.json").read_text())
    words = (" ".join(label_text(line).words) for lines in read_genres(texts).values() for line in lines)
    vocabulary, kept = prune(read_vocabulary(source / "vocab.txt"), words, minimum=minimum)
    state = {}
    for name, tensor in load_file(source / "model.safetensors").items():
        if name.startswith(_LAYER):
            number, _, rest = name.removeprefix(_LAYER).partition(".")
            if int(number) in layers:
                state[f"{_LAYER}{layers.index(int(number))}.{rest}"] = tensor
        elif not name.endswith("position_ids"):
            state[name] = tensor[kept].contiguous() if name == _WORDS else tensor
    pad = vocabulary.index("[PAD]")
    config |= {"vocab_size": len(vocabulary), "num_hidden_layers": len(layers), "pad_token_id": pad}
    target.mkdir(parents=True, exist_ok=True)
    (target / "config.json").write_text(json.dumps(config, indent=2))
    (target / "vocab.txt").write_text("\n".join(vocabulary) + "\n")
    save_file(state, target / "model.safetensors")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("source", type=Path, help="folder with config.json, vocab.txt, model.safetensors")
    parser.add_argument("target", type=Path)
    parser.add_argument("--texts", type=Path, required=True, help="folder of GENRE.txt")
    parser.add_argument("--minimum", type=int, default=1, help="how often a piece must occur to stay")
    parser.add_argument("--layers", type=int, nargs="+", default=[*range(6)], help="which layers stay")
    given = parser.parse_args()
    reduce(given.source, given.target, given.texts, given.minimum, given.layers)
