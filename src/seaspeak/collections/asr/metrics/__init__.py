"""Metrics of speech recognition."""

from __future__ import annotations

from seaspeak._lazy import attach

__getattr__, __dir__, __all__ = attach(
    __name__,
    modules=("wer",),
    names={
        "seaspeak.collections.asr.metrics.wer": (
            "WER",
            "word_error_rate",
            "word_error_rate_detail",
            "word_error_rate_per_utt",
        )
    },
)
