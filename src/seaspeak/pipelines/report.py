"""A page about one voice swap: both recordings, their pictures, texts and times, in one file that needs no other."""

from __future__ import annotations

from collections.abc import Iterable
from html import escape
from importlib import resources
from pathlib import Path
from string import Template

from seaspeak._version import __version__
from seaspeak.audio.writing import encode
from seaspeak.pipelines.pictures import Samples, data_uri, spectrogram, waveform
from seaspeak.pipelines.voice_swap import Swap, VoiceSwap
from seaspeak.text.transcript import Word


def render(swap: Swap, swapper: VoiceSwap) -> str:
    """Return the page as HTML.

    Args:
        swap: what the page is about.
        swapper: what made it; the page names its models and shows its graph.
    """
    heard = swap.heard
    page = Template(resources.files("seaspeak.pipelines").joinpath("report.html").read_text(encoding="utf-8"))
    return page.substitute(
        title=escape(Path(heard.name).name),
        version=escape(__version__),
        figures=_figures(swap),
        raw_words=_words(heard.transcript.words) or escape(heard.transcript.text),
        text=escape(swap.text),
        heard_table=_table(heard.punctuated.words, with_confidence=True),
        spoken_words=_words(swap.spoken.words, with_confidence=False) or escape(swap.spoken.text),
        spoken_table=_table(swap.spoken.words, with_confidence=False),
        graph=escape(swapper.draw()),
        **{stage: escape(name) for stage, name in swapper.names.items()},
        **_sound("original", heard.recording, heard.recording_rate),
        **_sound("swapped", swap.samples, swap.sample_rate),
    )


def _sound(name: str, samples: Samples, sample_rate: int) -> dict[str, str]:
    return {
        f"{name}_audio": data_uri(encode(samples, sample_rate, "flac"), "audio/flac"),
        f"{name}_wave": waveform(samples),
        f"{name}_spectrogram": data_uri(spectrogram(samples, sample_rate), "image/png"),
        f"{name}_seconds": f"{len(samples) / sample_rate:.1f}",
    }


def _figures(swap: Swap) -> str:
    factors = swap.real_time_factors
    figures = [
        (f"{swap.heard.recording_seconds:.1f} s", "of recording"),
        (f"{factors['hearing']:.2f}", "real-time factor of hearing"),
        (f"{len(swap.samples) / swap.sample_rate:.1f} s", "of new speech"),
        (f"{factors['speaking']:.2f}", "real-time factor of speaking"),
    ]
    return "".join(f'<li><b>{value}</b><span class="dim">{what}</span></li>' for value, what in figures)


def _words(words: Iterable[Word], *, with_confidence: bool = True) -> str:
    """Return words that can be clicked; the lower the confidence, the redder the line below."""
    return " ".join(
        f'<span data-start="{word.start:.2f}" data-end="{word.end:.2f}" title="{_hint(word, with_confidence)}"'
        f' style="border-color: {_colour(word.confidence) if with_confidence else "transparent"}">'
        f"{escape(word.text)}</span>"
        for word in words
    )


def _hint(word: Word, with_confidence: bool) -> str:
    confidence = f", confidence {word.confidence:.2f}" if with_confidence else ""
    return f"{word.start:.2f} to {word.end:.2f} s{confidence}"


def _colour(confidence: float) -> str:
    return f"hsl({120 * min(max(confidence, 0.0), 1.0):.0f} 60% 45%)"


def _table(words: Iterable[Word], *, with_confidence: bool) -> str:
    head = ["word", "from", "to"] + ["confidence"] * with_confidence
    rows = [
        [escape(word.text), f"{word.start:.2f}", f"{word.end:.2f}"] + [f"{word.confidence:.2f}"] * with_confidence
        for word in words
    ]
    body = "".join(f"<tr>{''.join(f'<td>{cell}</td>' for cell in row)}</tr>" for row in rows)
    return f"<table><tr>{''.join(f'<th>{cell}</th>' for cell in head)}</tr>{body}</table>"
