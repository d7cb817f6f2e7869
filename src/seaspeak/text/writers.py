"""Writing transcripts as files: txt, json, srt, vtt, tsv, ctm. Imports no torch."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TextIO

from seaspeak.core.errors import ConfigError, StorageError, nearest
from seaspeak.text.transcript import Segment, Transcript, Word

CUE_SECONDS = 7.0
CUE_CHARACTERS = 84  # two lines of 42, what subtitles are usually held to


def write(transcript: Transcript, target: str | Path | TextIO, format: str, *, name: str = "") -> None:
    """Write one transcript.

    Args:
        transcript: what to write.
        target: a path, or a text stream.
        format: one of ``FORMATS``.
        name: what the recording is called in formats that say so (ctm); default: the path's stem.

    Raises:
        ConfigError: unknown format.
        StorageError: the file cannot be written.
    """
    if not isinstance(target, (str, Path)):
        target.write(render(transcript, format, name=name))
        return
    path = Path(target)
    text = render(transcript, format, name=name or path.stem)
    try:
        path.write_text(text, encoding="utf-8", newline="\n")
    except OSError as error:
        raise StorageError(f"{path} cannot be written: {error.strerror or error}") from error


def render(transcript: Transcript, format: str, *, name: str = "") -> str:
    """Return the file's text.

    Raises:
        ConfigError: unknown format.
    """
    if format not in FORMATS:
        raise ConfigError(
            f"no transcript format is called {format!r}", expected=", ".join(FORMATS), fix=nearest(format, FORMATS)
        )
    return FORMATS[format](transcript, name or "recording")


def _txt(transcript: Transcript, name: str) -> str:
    return transcript.text + "\n"


def _json(transcript: Transcript, name: str) -> str:
    return json.dumps(transcript.to_dict(), ensure_ascii=False, indent=1) + "\n"


def _srt(transcript: Transcript, name: str) -> str:
    cues = enumerate(_cues(transcript), start=1)
    return "".join(f"{i}\n{_clock(c.start, ',')} --> {_clock(c.end, ',')}\n{_lines(c.text)}\n\n" for i, c in cues)


def _vtt(transcript: Transcript, name: str) -> str:
    cues = _cues(transcript)
    body = "".join(f"{_clock(c.start, '.')} --> {_clock(c.end, '.')}\n{_lines(_escape(c.text))}\n\n" for c in cues)
    return "WEBVTT\n\n" + body


def _tsv(transcript: Transcript, name: str) -> str:
    rows = (f"{round(s.start * 1000)}\t{round(s.end * 1000)}\t{_flat(s.text)}\n" for s in _pieces(transcript))
    return "start\tend\ttext\n" + "".join(rows)


def _ctm(transcript: Transcript, name: str) -> str:
    """NIST's words with times: name, channel, start, duration, word, confidence."""
    source = "_".join(name.split()) or "recording"
    rows = (
        f"{source} 1 {word.start:.3f} {word.end - word.start:.3f} {word.text} {word.confidence:.4f}\n"
        for word in transcript.words
    )
    return "".join(rows)


FORMATS: Mapping[str, Callable[[Transcript, str], str]] = {
    "txt": _txt,
    "json": _json,
    "srt": _srt,
    "vtt": _vtt,
    "tsv": _tsv,
    "ctm": _ctm,
}


def _pieces(transcript: Transcript) -> tuple[Segment, ...]:
    """Return the segments; a transcript without times is one segment as long as the recording."""
    if transcript.segments or not transcript.text:
        return transcript.segments
    return (Segment(transcript.text, 0.0, transcript.duration),)


def _cues(transcript: Transcript) -> Iterator[Segment]:
    """Cut segments into pieces that fit a screen."""
    for segment in _pieces(transcript):
        if not segment.words:
            yield segment
            continue
        cue: list[Word] = []
        for word in segment.words:
            text = " ".join(w.text for w in [*cue, word])
            if cue and (len(text) > CUE_CHARACTERS or word.end - cue[0].start > CUE_SECONDS):
                yield _cue(cue)
                cue = []
            cue.append(word)
        yield _cue(cue)


def _cue(words: list[Word]) -> Segment:
    return Segment(" ".join(word.text for word in words), words[0].start, words[-1].end, tuple(words))


def _lines(text: str) -> str:
    """Break a cue's text into two lines of about the same length where one would be too long."""
    if len(text) <= CUE_CHARACTERS // 2 or " " not in text:
        return text
    middle = min((i for i, letter in enumerate(text) if letter == " "), key=lambda i: abs(i - len(text) / 2))
    return f"{text[:middle]}\n{text[middle + 1 :]}"


def _clock(seconds: float, point: str) -> str:
    """Return ``hh:mm:ss,mmm``."""
    milliseconds = round(seconds * 1000)
    minutes, rest = divmod(milliseconds, 60_000)
    hours, minutes = divmod(minutes, 60)
    return f"{hours:02}:{minutes:02}:{rest // 1000:02}{point}{rest % 1000:03}"


def _escape(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _flat(text: str) -> str:
    return " ".join(text.split())
