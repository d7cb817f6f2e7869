"""Learn which way to say words that are spelt alike, from example sentences, and measure it on other sentences.

python examples/tts/heteronyms_train.py heteronyms.json.gz ../shared/data/text/pronunciation

The folder holds ``heteronyms.tsv`` (homograph, wordid, label, pronunciation in IPA), and for training and measuring
``heteronym_sentences_train.tsv`` and ``heteronym_sentences_dev.tsv`` (homograph, wordid, sentence, start, end), as the
Wikipedia homograph data has them.
"""

import csv
import re
import sys
from collections import Counter, defaultdict
from collections.abc import Iterator
from pathlib import Path

from seaspeak.text.graphones import distance
from seaspeak.text.heteronyms import HeteronymModel, Reading, cues
from seaspeak.text.pronunciations import cmudict
from seaspeak.text.words import english_items, plain_english

PHONES = dict(
    pair.split(":")
    for pair in [
        "tʃ:CH",
        "dʒ:JH",
        "aɪ:AY",
        "aʊ:AW",
        "eɪ:EY",
        "oʊ:OW",
        "ɔɪ:OY",
        "ɜɹ:ER",
        "əɹ:ER",
        "ɝ:ER",
        "ɚ:ER",
        "iː:IY",
        "uː:UW",
        "ɑː:AA",
        "ɔː:AO",
        "ɜː:ER",
        "ɹ:R",
        "r:R",
        "ʃ:SH",
        "ʒ:ZH",
        "θ:TH",
        "ð:DH",
        "ŋ:NG",
        "j:Y",
        "h:HH",
        "ɡ:G",
        "g:G",
        "æ:AE",
        "ɛ:EH",
        "e:EH",
        "ɪ:IH",
        "i:IY",
        "ʊ:UH",
        "u:UW",
        "ʌ:AH",
        "ə:AH",
        "ɑ:AA",
        "ɒ:AA",
        "ɔ:AO",
        "ɐ:AH",
        "o:OW",
        "a:AA",
        "b:B",
        "d:D",
        "f:F",
        "k:K",
        "l:L",
        "m:M",
        "n:N",
        "p:P",
        "s:S",
        "t:T",
        "v:V",
        "w:W",
        "z:Z",
    ]
)
VOWELS = {"AY", "AW", "EY", "OW", "OY", "ER", "IY", "UW", "AA", "AO", "AE", "EH", "IH", "UH", "AH"}


def rows(path: Path) -> Iterator[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        yield from csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE)


def arpabet(ipa: str) -> list[str]:
    phones, stress = [], "0"
    for sign in re.findall("|".join(PHONES) + "|['ˈˌ]", ipa):
        if sign in "'ˈˌ":
            stress = "2" if sign == "ˌ" else "1"
        else:
            phone = PHONES[sign]
            phones.append(phone + stress if phone in VOWELS else phone)
            stress = "0" if phone in VOWELS else stress
    return phones


def readings(folder: Path) -> dict[str, dict[str, tuple[tuple[str, ...], str]]]:
    """For each homograph whose readings CMUdict tells apart: phones and part of speech of each."""
    found: dict[str, dict[str, tuple[tuple[str, ...], str]]] = defaultdict(dict)
    for row in rows(folder / "heteronyms.tsv"):
        word, wanted = row["homograph"].lower(), arpabet(row["pronunciation"])
        if word in cmudict():
            nearest = min(cmudict()[word], key=lambda phones: distance(phones, wanted))
            found[word][row["wordid"]] = (nearest, row["label"])
    return {word: ways for word, ways in found.items() if len({phones for phones, _ in ways.values()}) > 1}


def around(row: dict[str, str]) -> list[str]:
    start, end = int(row["start"]), int(row["end"])
    sides = plain_english(row["sentence"][:start]), plain_english(row["sentence"][end:])
    before, after = ([item.text for item in english_items(side)] for side in sides)
    return cues(before, after)


def learn(folder: Path) -> HeteronymModel:
    ways = readings(folder)
    counts: Counter[str] = Counter()
    seen: dict[str, Counter[str]] = defaultdict(Counter)
    labels: dict[str, Counter[str]] = defaultdict(Counter)
    for row in rows(folder / "heteronym_sentences_train.tsv"):
        word = row["homograph"].lower()
        if row["wordid"] in ways.get(word, {}):
            counts[row["wordid"]] += 1
            seen[row["wordid"]].update(around(row))
            labels[ways[word][row["wordid"]][1]].update(around(row))
    table = {
        word: [Reading(phones, label, counts[name], seen[name]) for name, (phones, label) in ids.items()]
        for word, ids in ways.items()
    }
    return HeteronymModel(table, {label: labels[label] for ids in ways.values() for _, label in ids.values()})


def main(path: Path, folder: Path) -> None:
    path.write_bytes(learn(folder).to_bytes())
    model, ways = HeteronymModel.from_bytes(path.read_bytes()), readings(folder)
    score: Counter[str] = Counter()
    for row in rows(folder / "heteronym_sentences_dev.tsv"):
        word = row["homograph"].lower()
        score["sentences"] += 1
        if row["wordid"] not in ways.get(word, {}):
            continue
        right = ways[word][row["wordid"]][0]
        reading = model.choose(word, around(row))
        usual = max(model.readings[word], key=lambda one: one.examples)
        score["told apart by CMUdict"] += 1
        score["first of CMUdict"] += cmudict()[word][0] == right
        score["commonest reading"] += usual.phones == right
        score["model"] += reading is not None and reading.phones == right
    print(f"{len(model.readings)} words", dict(score))


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
