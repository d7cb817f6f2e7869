from __future__ import annotations

import io
import json
import re

import pytest

from seaspeak.core.errors import ConfigError, StorageError
from seaspeak.text.transcript import Segment, Token, Transcript, Word, group_words, join
from seaspeak.text.writers import CUE_CHARACTERS, CUE_SECONDS, FORMATS, render, write


def spoken(*words: tuple[str, float, float]) -> Transcript:
    pieces = [Word(text, start, end, 0.5, (Token(text, start, end, 0.5),)) for text, start, end in words]
    return Transcript(" ".join(w[0] for w in words), group_words(pieces), duration=words[-1][2] + 1.0)


HELLO = spoken(("hello", 0.5, 0.9), ("there", 1.0, 1.25), ("friend", 3661.0, 3661.5))


def test_segments_end_at_pauses_and_ends_of_sentences() -> None:
    words = [Word("so.", 0, 1), Word("we", 1.1, 1.2), Word("go", 3.0, 3.5)]
    assert [segment.text for segment in group_words(words, pause=1.0)] == ["so.", "we", "go"]
    assert [segment.text for segment in group_words(words, pause=None)] == ["so.", "we go"]


def test_joined_pieces_keep_order_and_move_in_time() -> None:
    whole = join([(0.0, spoken(("one", 0.0, 1.0))), (10.0, spoken(("two", 0.5, 1.0)))], duration=12.0)
    assert whole.text == "one two"
    assert [(word.text, word.start, word.end) for word in whole.words] == [("one", 0.0, 1.0), ("two", 10.5, 11.0)]
    assert whole.words[1].tokens[0].start == 10.5
    assert whole.duration == 12.0


def test_timestamp_lists_words_and_segments_in_seconds() -> None:
    stamps = HELLO.timestamp
    assert stamps["word"][1] == {"word": "there", "start": 1.0, "end": 1.25}
    assert [entry["segment"] for entry in stamps["segment"]] == ["hello there", "friend"]


def test_srt_numbers_its_cues_and_counts_hours() -> None:
    assert render(HELLO, "srt") == (
        "1\n00:00:00,500 --> 00:00:01,250\nhello there\n\n2\n01:01:01,000 --> 01:01:01,500\nfriend\n\n"
    )


def test_vtt_has_its_header_and_escapes_markup() -> None:
    text = render(spoken(("<b>&", 0.0, 0.5)), "vtt")
    assert text == "WEBVTT\n\n00:00:00.000 --> 00:00:00.500\n&lt;b&gt;&amp;\n\n"


def test_tsv_counts_milliseconds() -> None:
    assert render(HELLO, "tsv") == "start\tend\ttext\n500\t1250\thello there\n3661000\t3661500\tfriend\n"


def test_ctm_has_one_word_a_line() -> None:
    assert render(HELLO, "ctm", name="my talk").splitlines()[1] == "my_talk 1 1.000 0.250 there 0.5000"


def test_json_reads_back_with_word_times() -> None:
    data = json.loads(render(HELLO, "json"))
    assert data["segments"][0]["words"][0] == {"word": "hello", "start": 0.5, "end": 0.9, "confidence": 0.5}


def test_long_segments_become_cues_that_fit_a_screen() -> None:
    words = [(f"word{i}", i * 0.5, i * 0.5 + 0.4) for i in range(60)]
    cues = re.findall(r"--> .*\n((?:.+\n)+)", render(spoken(*words), "srt"))
    assert " ".join(" ".join(cue.split()) for cue in cues) == " ".join(word for word, *_ in words)
    assert all(len(cue) <= CUE_CHARACTERS + 1 and cue.count("\n") <= 2 for cue in cues)
    assert len(cues) >= 30 / CUE_SECONDS


@pytest.mark.parametrize("format", FORMATS)
def test_every_format_writes_silence_and_text_without_times(format: str, tmp_path) -> None:
    for transcript in (Transcript("", duration=2.0), Transcript("hello", duration=2.0)):
        write(transcript, tmp_path / f"a.{format}", format)
        stream = io.StringIO()
        write(transcript, stream, format, name="a")
        assert (tmp_path / f"a.{format}").read_text() == stream.getvalue()


def test_unknown_format_names_the_nearest() -> None:
    with pytest.raises(ConfigError, match=r"no transcript format is called 'jsn'[\s\S]*did you mean 'json'"):
        render(HELLO, "jsn")


def test_a_folder_that_nobody_can_write_is_named() -> None:
    with pytest.raises(StorageError, match=r"/proc/nowhere/a.txt cannot be written"):
        write(HELLO, "/proc/nowhere/a.txt", "txt")


def test_confidence_of_a_segment_is_that_of_its_words() -> None:
    assert Segment("a b", 0, 1, (Word("a", 0, 0.5, 0.2), Word("b", 0.5, 1, 0.6))).confidence == pytest.approx(0.4)
