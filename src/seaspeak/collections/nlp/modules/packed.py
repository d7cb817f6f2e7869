"""An encoder's layers in the form in which they are computed without gradients on a CPU.

One matrix holds the tokens of all sequences, so that padding costs nothing; query, key and value are one product;
weights lie as products read them, and what a layer adds is added into the product. Only attention looks at single
sequences, those of one length together. Layers work on blocks of tokens that are small enough for the cache.

Shape letters in this file:
    N  tokens of all sequences    D  width    H  heads    K  width of a head
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from seaspeak.core.snapshot import Snapshot

if TYPE_CHECKING:
    from seaspeak.collections.nlp.modules.encoder import Encoder, Layer

Group = tuple[int, int]
"""How many sequences that lie side by side, and how many tokens each has."""

_SMALL = 256  # tokens of a batch that is computed with its padding: leaving it out would save little
_BLOCK = 1024  # tokens that go through a layer at once: what it makes of them stays in the processor's cache


def plan_for(encoder: Encoder) -> Packed | None:
    """Return the packed form of an encoder; nothing where its layers are to compute for themselves.

    That is in training, for gradients, in another precision or place than float32 on a CPU, while torch traces or
    compiles, where a layer was replaced by something else, or where somebody listens to one through hooks.
    """
    if encoder.training or not _is_eager(encoder.embeddings.word_embeddings.weight):
        _plans.pop(encoder, None)
        return None
    plan = _plans.get(encoder)
    if plan is None or not plan.snapshot.is_current():
        plan = _plans[encoder] = Packed(encoder)
    return plan if plan.is_faithful() else None


def _is_eager(weight: Tensor) -> bool:
    return (
        weight.device.type == "cpu"
        and weight.dtype == torch.float32
        and not torch.is_grad_enabled()
        and not torch.compiler.is_compiling()
        and not torch.jit.is_tracing()
        and not torch.onnx.is_in_onnx_export()
        and not torch.is_autocast_enabled("cpu")
    )


def attention_bias(mask: Tensor | None, dtype: torch.dtype) -> Tensor | None:
    """Return (B, 1, 1, T): what is added to scores, or nothing where every token counts, which is faster."""
    if mask is None or bool((mask != 0).all()):
        return None
    return (mask == 0).to(dtype)[:, None, None, :] * torch.finfo(dtype).min


def pack(mask: Tensor) -> tuple[Tensor, list[Group]]:
    """Return where the tokens that count stand in the flattened batch, shorter sequences first, and their groups.

    >>> pack(torch.tensor([[1, 1, 1], [1, 0, 0], [1, 1, 1]]) == 1)
    (tensor([3, 0, 1, 2, 6, 7, 8]), [(1, 1), (2, 3)])
    """
    counts = mask.sum(1)
    order = counts.argsort(stable=True)
    index = torch.arange(mask.numel()).view(mask.shape)[order][mask[order]]
    return index, [(len(list(same)), count) for count, same in groupby(counts[order].tolist()) if count]


def cut(groups: Iterable[Group]) -> list[list[Group]]:
    """Cut groups into blocks of not many more tokens than the cache is good for.

    >>> cut([(1, 100), (7, 200), (1, 2000)])
    [[(1, 100)], [(5, 200)], [(2, 200)], [(1, 2000)]]
    """
    blocks: list[list[Group]] = []
    room = 0
    for sequences, tokens in groups:
        most = max(1, _BLOCK // tokens)
        for start in range(0, sequences, most):
            count = min(most, sequences - start)
            if count * tokens > room:
                blocks.append([])
                room = _BLOCK
            blocks[-1].append((count, tokens))
            room -= count * tokens
    return blocks


class Packed:
    """An encoder's layers, as long as its parts and parameters stay as they are."""

    def __init__(self, encoder: Encoder) -> None:
        self.snapshot = Snapshot(encoder)
        inner = [part for part in encoder.modules() if part is not encoder]
        self._hooks = [hooks for part in inner for hooks in (part._forward_hooks, part._forward_pre_hooks)]
        self._known = all(type(part) in (nn.Linear, nn.LayerNorm) for layer in encoder.layers for part in layer.parts)
        self._embeddings = encoder.embeddings
        with torch.no_grad():
            self._layers = [_Layer(layer) for layer in encoder.layers] if self._known else []

    def is_faithful(self) -> bool:
        """Whether this computes what the layers would: they are of the kinds known here, and nobody listens."""
        return self._known and not any(self._hooks)

    def __call__(self, ids: Tensor, mask: Tensor | None, types: Tensor | None) -> Tensor:
        """Return (B, T, D) for ids, mask and types of (B, T)."""
        bias = attention_bias(mask, torch.float32)
        if bias is None or ids.numel() <= _SMALL:
            x_ND = self._embeddings(ids, types).flatten(0, 1)
            groups = [(ids.shape[0], ids.shape[1])]
            blocks = cut(groups) if bias is None else [groups]
            return self._encode(x_ND, blocks, bias).view(*ids.shape, -1)
        assert mask is not None
        index, groups = pack(mask != 0)
        types = None if types is None else types.flatten()[index]
        x_ND = self._encode(self._embeddings(ids.flatten()[index], types, index % ids.shape[1]), cut(groups), None)
        return x_ND.new_zeros(ids.numel(), x_ND.shape[1]).index_copy_(0, index, x_ND).view(*ids.shape, -1)

    def _encode(self, x_ND: Tensor, blocks: Sequence[Sequence[Group]], bias: Tensor | None) -> Tensor:
        rows = x_ND.split([sum(sequences * tokens for sequences, tokens in block) for block in blocks])
        for layer in self._layers:
            rows = tuple(layer(part, block, bias) for part, block in zip(rows, blocks, strict=True))
        return rows[0] if len(rows) == 1 else torch.cat(rows)


_plans: WeakKeyDictionary[Encoder, Packed] = WeakKeyDictionary()


class _Layer:
    """One layer: its products, and its arithmetic, which writes over what it is given."""

    def __init__(self, layer: Layer) -> None:
        parts = layer.parts
        self.heads, self.activation = layer.heads, layer.activation
        self.looks = _Product.of(parts.query, parts.key, parts.value)
        self.seen, self.inner, self.outer = (_Product.of(part) for part in (parts.seen, parts.inner, parts.outer))
        self.seen_norm, self.outer_norm = parts.seen_norm, parts.outer_norm

    def __call__(self, x_ND: Tensor, groups: Sequence[Group], bias: Tensor | None) -> Tensor:
        looks = self.looks(x_ND).split([sequences * tokens for sequences, tokens in groups])
        seen = [self._attend(part, group, bias) for part, group in zip(looks, groups, strict=True)]
        x_ND = self.seen_norm(self.seen.onto(x_ND, seen[0] if len(seen) == 1 else torch.cat(seen)))
        normed: Tensor = self.outer_norm(self.outer.onto(x_ND, self.activation(self.inner(x_ND))))
        return normed

    def _attend(self, looks: Tensor, group: Group, bias: Tensor | None) -> Tensor:
        """Return what the tokens of sequences of one length see, for their queries, keys and values (n, 3·D)."""
        q_BHTK, k_BHTK, v_BHTK = looks.view(*group, 3, self.heads, -1).permute(2, 0, 3, 1, 4)
        seen = F.scaled_dot_product_attention(q_BHTK, k_BHTK, v_BHTK, attn_mask=bias)
        return seen.transpose(1, 2).reshape(len(looks), -1)


@dataclass(frozen=True, slots=True)
class _Product:
    """Linear layers that read the same, side by side; the weights lie as products read them."""

    weight: Tensor
    bias: Tensor

    @classmethod
    def of(cls, *layers: nn.Linear) -> _Product:
        weight = torch.cat([layer.weight for layer in layers])
        return cls(weight.t().contiguous(), torch.cat([layer.bias for layer in layers]))

    def __call__(self, x: Tensor) -> Tensor:
        return torch.addmm(self.bias, x, self.weight)

    def onto(self, old: Tensor, x: Tensor) -> Tensor:
        """Write over ``old`` its sum with the product."""
        return old.add_(self.bias).addmm_(x, self.weight)
