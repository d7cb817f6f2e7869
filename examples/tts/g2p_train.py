"""Train the model that pronounces words which are in no dictionary, and measure it on words kept aside.

python examples/tts/g2p_train.py g2p.npz [dictionary]

The dictionary is CMUdict, which ships, unless another one is given. Takes about two minutes on one core.
"""

import sys
import zlib
from collections.abc import Callable
from pathlib import Path

from seaspeak.text.graphones import GraphoneModel, distance, train
from seaspeak.text.letter_to_sound import pronounce
from seaspeak.text.pronunciations import Dictionary, cmudict


def measure(name: str, words: list[str], dictionary: Dictionary, say: Callable[[str], tuple[str, ...]]) -> None:
    wrong = wrong_unstressed = errors = phones = 0
    for word in words:
        said = say(word)
        nearest = min(dictionary[word], key=lambda right: distance(said, right))
        wrong += said != nearest
        plain = tuple(phone.rstrip("012") for phone in said)
        wrong_unstressed += all(plain != tuple(p.rstrip("012") for p in right) for right in dictionary[word])
        errors += distance(said, nearest)
        phones += len(nearest)
    print(
        f"{name}: {len(words)} words, wrong {100 * wrong / len(words):.1f} % of words"
        f" ({100 * wrong_unstressed / len(words):.1f} % without stress), {100 * errors / phones:.1f} % of phones"
    )


def main(path: str, dictionary: Dictionary) -> None:
    words = [word for word in dictionary if word.replace("'", "").isalpha() and word.isascii()]
    held = [word for word in words if zlib.crc32(word.encode()) % 20 == 0]
    kept = {word: dictionary[word] for word in words if zlib.crc32(word.encode()) % 20}
    train([(word, phones) for word, ways in kept.items() for phones in ways[:1]]).save(path)
    model = GraphoneModel.from_bytes(Path(path).read_bytes())
    test = held[::3]
    measure("model alone", test, dictionary, model.phones)
    measure("endings, compounds, then model", test, dictionary, lambda word: pronounce(word, kept, model))


if __name__ == "__main__":
    main(sys.argv[1], Dictionary.read(sys.argv[2]) if len(sys.argv) > 2 else cmudict())
