"""Labels from plain text, windows, and the features of both."""

from __future__ import annotations

from collections import Counter

from seaspeak.collections.nlp.data.punctuation import Featuriser, Labelled, draw_windows, exact_windows, label_text
from seaspeak.text.tokenizers import WordPieceTokenizer
from seaspeak.text.wordpiece import SPECIAL


def test_marks_behind_quotes_count_and_numbers_stay() -> None:
    assert label_text('She said, "Stop!" — 3.5 (of NASA\'s); what?!') == Labelled(
        ["she", "said", "stop", "3.5", "of", "nasa's", "what"], ["OU", ",O", ".U", "OO", "OO", ",U", "?O"]
    )


def test_windows_have_the_lengths_and_words_that_were_asked_for() -> None:
    genres = {"large": ["One two three four."] * 500, "small": ["Five six."] * 50}
    windows = list(draw_windows(genres, shortest=5, longest=9, seed=3))
    assert {len(window.words) for window in windows} == {5, 6, 7, 8, 9}
    words = Counter(word for window in windows for word in window.words)
    assert abs(sum(words.values()) - 2100) < 18
    assert max(words["one"], 500) - min(words["one"], 500) < 10  # one pass: each word about once
    flatter = Counter(word for w in draw_windows(genres, temperature=2.0, seed=3) for word in w.words)
    assert flatter["five"] > 2 * words["five"]


def test_windows_are_decided_by_the_seed() -> None:
    genres = {"one": [f"Word {number}." for number in range(300)]}
    first, second, other = (list(draw_windows(genres, seed=seed)) for seed in (1, 1, 2))
    assert first == second != other


def test_windows_for_evaluation_have_exactly_so_many_words() -> None:
    windows = list(exact_windows(["A b c.", "D e f g."], 3))
    assert [window.words for window in windows] == [["a", "b", "c"], ["d", "e", "f"]]


def test_features_are_those_of_the_specification() -> None:
    tokenizer = WordPieceTokenizer([*SPECIAL, "a", "b", "##b"])
    known = {"O": 0, ",": 1, ".": 2, "?": 3}, {"O": 0, "U": 1}
    features = Featuriser(tokenizer, *known)(Labelled(["a", "bb"], [",U", "OO"]))
    assert features.input_ids.tolist() == [2, 5, 6, 7, 3]
    assert features.loss_mask.tolist() == [0, 1, 1, 1, 0]
    assert features.subtokens_mask.tolist() == [0, 1, 1, 0, 0]
    assert features.punct_labels.tolist() == [0, 1, 0, 0, 0]
    assert features.capit_labels.tolist() == [0, 1, 0, 0, 0]
    first = Featuriser(tokenizer, *known, ignore_extra_tokens=True)(Labelled(["a", "bb"], [",U", "OO"]))
    assert first.loss_mask.tolist() == [0, 1, 1, 0, 0]
