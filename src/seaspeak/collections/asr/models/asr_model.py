"""What all models of speech recognition have in common: they transcribe."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any

from seaspeak.core.errors import ConfigError
from seaspeak.core.model import Model
from seaspeak.core.module import evaluating

if TYPE_CHECKING:
    import numpy as np

    from seaspeak.collections.asr.transcription import Channels, Recogniser
    from seaspeak.text.transcript import Transcript


class ASRModel(Model):
    """Base of models that turn speech into text; ``from_pretrained`` and ``restore_from`` give the right subclass.

    A subclass either is a ``seaspeak.collections.asr.transcription.Recogniser`` itself, with ``sample_rate``,
    ``max_seconds`` and ``recognise``, or overrides ``recogniser``.
    """

    def recogniser(self, *, keep_log_probs: bool = False) -> Recogniser:
        """Return what transcribes with this model.

        Args:
            keep_log_probs: transcripts hold the log-probabilities, where the model has them.
        """
        return self  # type: ignore[return-value]  # see the class

    def recognising(self) -> AbstractContextManager[None]:
        """Hold the model in evaluation; afterwards, also after an error, every part is in the mode that it was in."""
        return evaluating(self)

    def transcribe(
        self,
        audio: Any = None,
        batch_size: int = 4,
        return_hypotheses: bool = False,
        num_workers: int | None = 0,
        channel_selector: Channels = None,
        augmentor: Any = None,
        verbose: bool = True,
        timestamps: bool | None = None,
        override_config: Any = None,
        *,
        logprobs: bool = False,
        sample_rate: int | None = None,
        paths2audio_files: Any = None,
    ) -> list[str] | list[Transcript] | list[np.ndarray]:
        """Transcribe recordings; results come in the order given, and the order and the batch size change nothing.

        Args:
            audio: a path, bytes, a binary file object, an array or tensor of samples, a pair (samples, rate); a list
                of these; or the path of a manifest (``.json``, ``.jsonl``). Any rate, any number of channels, any
                length. An empty list gives an empty list.
            batch_size: recordings computed together.
            return_hypotheses: return ``Transcript`` objects, with log-probabilities where the model has them.
            num_workers: threads that read ahead.
            channel_selector: which channels to average: None or ``"average"`` for all, a number, or several.
            augmentor: not possible here; only None.
            verbose: show a progress bar, on a terminal.
            timestamps: return ``Transcript`` objects, with the times of segments, words and tokens.
            override_config: an object or mapping whose fields replace the arguments of the same name (NeMo's
                ``TranscribeConfig``).
            logprobs: return log-probabilities (frames, symbols + blank) instead of texts.
            sample_rate: of arrays and tensors without one, in Hz; by default the model's.
            paths2audio_files: the name of ``audio`` in NeMo 1.x.

        Raises:
            SeaspeakError: a recording cannot be read, or arguments exclude each other.
        """
        from seaspeak.collections.asr.transcription import transcribe

        given: dict[str, Any] = {
            "batch_size": batch_size,
            "return_hypotheses": return_hypotheses,
            "num_workers": num_workers,
            "channel_selector": channel_selector,
            "augmentor": augmentor,
            "verbose": verbose,
            "timestamps": timestamps,
        }
        given |= _overrides(override_config, given)
        if logprobs and given["return_hypotheses"]:
            raise ConfigError(
                "logprobs and return_hypotheses exclude each other",
                fix="return_hypotheses=True: transcript.y_sequence has the log-probabilities",
            )
        if given["augmentor"] is not None:
            raise ConfigError("transcribe cannot augment recordings", fix="augment them before, or in train_ds")
        if audio is not None and paths2audio_files is not None:
            raise ConfigError("audio and paths2audio_files are two names of one argument", fix="give one of them")
        recogniser = self.recogniser(keep_log_probs=bool(logprobs or given["return_hypotheses"]))
        with self.recognising():
            found = transcribe(
                recogniser,
                paths2audio_files if audio is None else audio,
                batch_size=given["batch_size"],
                sample_rate=sample_rate,
                channel_selector=given["channel_selector"],
                num_workers=given["num_workers"] or 0,
                verbose=given["verbose"],
            )
        if logprobs:
            return _log_probs(found, type(self).__name__)
        if given["timestamps"] or given["return_hypotheses"]:
            return found
        return [transcript.text for transcript in found]


def _overrides(config: Any, known: Mapping[str, Any]) -> dict[str, Any]:
    """Return the fields of NeMo's ``TranscribeConfig`` (or of a mapping) that are arguments of ``transcribe``."""
    if config is None:
        return {}
    fields = config if isinstance(config, Mapping) else vars(config)
    return {name: fields[name] for name in known if name in fields}


def _log_probs(found: list[Transcript], model: str) -> list[np.ndarray]:
    if any(transcript.y_sequence is None for transcript in found):
        raise ConfigError(f"{model} has no log-probabilities of frames", fix="leave logprobs=False")
    return [transcript.y_sequence for transcript in found]
