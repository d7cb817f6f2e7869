"""The aligner alone: it learns in minutes which frames belong to which token, and writes durations for FastPitch."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import torch
from omegaconf import DictConfig
from torch import Tensor, nn

from seaspeak.collections.tts.data.dataset import build_loader, save_tensor
from seaspeak.collections.tts.losses.aligner import BinLoss, ForwardSumLoss
from seaspeak.collections.tts.models.text_front_end import ReadsText
from seaspeak.collections.tts.modules.aligner import binarize_attention
from seaspeak.collections.tts.modules.transformer import mask_from_lens
from seaspeak.collections.tts.pictures import log_picture
from seaspeak.core.config import Configuration, to_config
from seaspeak.core.module import evaluating
from seaspeak.core.types import LengthsType, LogprobsType, MelSpectrogramType, NeuralType, ProbsType, TokenIndex
from seaspeak.core.typing import typecheck

logger = logging.getLogger(__name__)


class Attention(NamedTuple):
    """Attention (B, 1, T, N), and its log-probabilities before padding is masked."""

    attn_soft: Annotated[Tensor, NeuralType("B S T D", ProbsType())]
    attn_logprob: Annotated[Tensor, NeuralType("B S T D", LogprobsType())]


class AlignerModel(ReadsText):
    """Text embedding and alignment encoder.

    Sections and keys of the configuration: ``text_tokenizer``, ``preprocessor``, ``alignment_encoder``,
    ``symbols_embedding_dim``; ``forward_sum_loss`` and ``bin_loss`` with ``loss_scale``; ``bin_loss_start_ratio``,
    the share of epochs before attention is made sharp, and ``bin_loss_warmup_epochs``; ``sup_data_path``, the folder
    for the durations of ``train_ds`` and ``validation_ds``, which are written when training ends.
    """

    def __init__(self, cfg: Configuration, trainer: Any = None) -> None:
        super().__init__(cfg=cfg, trainer=trainer)
        self.embed = nn.Embedding(len(self.vocab.tokens), self.cfg.symbols_embedding_dim)
        self.preprocessor = self.build(self.cfg.preprocessor, recipe=self.recipe)
        self.alignment_encoder = self.build(self.cfg.alignment_encoder)
        self.forward_sum_loss, self.bin_loss = ForwardSumLoss(), BinLoss()

    @typecheck()
    def forward(
        self,
        spec: Annotated[Tensor, NeuralType("B D T", MelSpectrogramType())],
        spec_len: Annotated[Tensor, NeuralType("B", LengthsType())],
        text: Annotated[Tensor, NeuralType("B T", TokenIndex())],
        text_len: Annotated[Tensor, NeuralType("B", LengthsType())],
        attn_prior: Annotated[Tensor | None, NeuralType("B T T", ProbsType(), optional=True)] = None,
    ) -> Attention:
        """Return the attention of frames to tokens."""
        padding = ~mask_from_lens(text_len, text.shape[1])[..., None]
        return Attention(*self.alignment_encoder(spec, self.embed(text).transpose(1, 2), padding, attn_prior))

    def make_loader(self, section: DictConfig, *, key: str, shuffle: bool) -> Any:
        """Make the loader of a data section; None where it names no recordings."""
        if section.dataset.get("manifest_filepath") is None:
            return None
        options = {"text_tokenizer": self.vocab, "text_normalizer": self.text_normalizer}
        return build_loader(section, shuffle=shuffle, **options, sup_data_types=["align_prior_matrix"])

    def _attention(self, batch: Sequence[Tensor]) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        audio, audio_lens, text, text_lens, prior = batch
        mel, mel_lens = self.preprocessor(input_signal=audio, length=audio_lens)
        frames = int(mel_lens.max())
        soft, logprob = self(mel[:, :, :frames], mel_lens, text, text_lens, prior[:, :frames])
        return soft, logprob, text_lens, mel_lens

    def training_step(self, batch: Sequence[Tensor], batch_idx: int = 0) -> dict[str, Tensor]:
        """Return the loss of a batch of `TTSDataset`, and log it."""
        soft, logprob, text_lens, mel_lens = self._attention(batch)
        loss = self.forward_sum_loss(attn_logprob=logprob, in_lens=text_lens, out_lens=mel_lens)
        self.log("t_forward_sum_loss", loss.detach())
        if weight := self._bin_weight:
            hard = binarize_attention(soft, text_lens, mel_lens)
            sharp = self.bin_loss(hard_attention=hard, soft_attention=soft)
            self.log("t_bin_loss", sharp.detach())
            loss = loss + weight * sharp
        self.log("train_loss", loss.detach())
        return {"loss": loss}

    @property
    def _bin_weight(self) -> float:
        if self.trainer is None:
            return 0.0
        start = float(self.cfg.get("bin_loss_start_ratio", 0.2)) * max(self.trainer.max_epochs or 0, 0)
        passed = self.trainer.current_epoch - start
        return max(0.0, min(1.0, (passed + 1) / float(self.cfg.get("bin_loss_warmup_epochs") or 100)))

    def validation_step(
        self, batch: Sequence[Tensor], batch_idx: int = 0, dataloader_idx: int = 0
    ) -> dict[str, Tensor]:
        """Return the loss of a batch; the alignment of the first item is shown."""
        soft, logprob, text_lens, mel_lens = self._attention(batch)
        if batch_idx == 0:
            log_picture(self, "val_alignment", soft[0, 0].T)
        return {"val_loss": self.forward_sum_loss(attn_logprob=logprob, in_lens=text_lens, out_lens=mel_lens)}

    def on_train_end(self) -> None:
        """Write the durations of all data, if ``cfg.sup_data_path`` says where they go."""
        folder = self.cfg.get("sup_data_path")
        if folder is None or not self.trainer.is_global_zero:
            return
        for key in ("train_ds", "validation_ds"):
            if (self.cfg.get(key) or {}).get("dataset", {}).get("manifest_filepath") is not None:
                written = self.write_durations(self.cfg[key], folder)
                logger.info("%s: wrote the durations of %d utterances", Path(folder) / "durations", written)

    @torch.no_grad()
    def write_durations(self, section: Any, folder: str | Path) -> int:
        """Write ``<folder>/durations/<clip>.pt``, the frames of each token, for every utterance of a section.

        Args:
            section: like ``cfg.train_ds``.
            folder: what FastPitch's data calls ``sup_data_path``.

        Returns:
            how many were written; utterances with fewer frames than tokens are named in a warning and left out.
        """
        one_by_one = to_config({**section, "dataloader_params": {"batch_size": 1}})
        loader = self.make_loader(one_by_one, key="test_ds", shuffle=False)
        written = 0
        with evaluating(self):
            for entry, batch in zip(loader.dataset.manifest, loader, strict=True):
                soft, _, text_lens, mel_lens = self._attention(batch)
                if int(mel_lens) < int(text_lens):
                    logger.warning("%s is too short for its text: no durations", entry.where)
                    continue
                durations = binarize_attention(soft, text_lens, mel_lens).sum(2)[0, 0].int()
                save_tensor(Path(folder) / "durations" / f"{Path(entry.audio_filepath).stem}.pt", durations)
                written += 1
        return written
