"""Words per second of our encoder and of transformers' on the same weights, in turns.

python benchmarks/nlp_encoder.py ENCODER_FOLDER TEXT_FILE [--lines 192] [--rounds 5]

Both encode the same texts, a paragraph each, with the same pieces. transformers is used as its documentation says:
texts in the order in which they come, padded to the longest of a batch; and once more with our order, to show what
order gives and what code. Ours sorts by length and so pads little.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import torch
import transformers
from torch import Tensor

from seaspeak.collections.nlp.modules.huggingface import get_lm_model
from seaspeak.text.tokenizers import WordPieceTokenizer

BATCH = 32
Batches = list[tuple[Tensor, Tensor]]


def batches(rows: list[list[int]], *, ordered: bool) -> Batches:
    rows = sorted(rows, key=len) if ordered else rows
    made = []
    for start in range(0, len(rows), BATCH):
        part = [torch.tensor(row) for row in rows[start : start + BATCH]]
        ids = torch.nn.utils.rnn.pad_sequence(part, batch_first=True)
        lengths = torch.tensor([len(row) for row in part])
        made.append((ids, (torch.arange(ids.shape[1]) < lengths[:, None]).long()))
    return made


def seconds(encode: Callable[[Tensor, Tensor], Tensor], work: Batches) -> float:
    start = time.perf_counter()
    for ids, mask in work:
        encode(ids, mask)
    return time.perf_counter() - start


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("encoder", type=Path)
    parser.add_argument("text", type=Path)
    parser.add_argument("--lines", type=int, default=192)
    parser.add_argument("--rounds", type=int, default=5)
    given = parser.parse_args()
    lines = given.text.read_text().splitlines()[: given.lines]
    tokenizer = WordPieceTokenizer(given.encoder / "vocab.txt")
    rows = [[tokenizer.cls_id, *tokenizer.text_to_ids(line)[:254], tokenizer.sep_id] for line in lines]
    words = sum(len(line.split()) for line in lines)
    ours = get_lm_model(str(given.encoder)).eval()
    theirs = transformers.AutoModel.from_pretrained(given.encoder).eval()

    def native(ids: Tensor, mask: Tensor) -> Tensor:
        return ours(input_ids=ids, attention_mask=mask).last_hidden_states

    def peer(ids: Tensor, mask: Tensor) -> Tensor:
        return theirs(input_ids=ids, attention_mask=mask).last_hidden_state

    mixed, ordered = batches(rows, ordered=False), batches(rows, ordered=True)
    runs = {
        "transformers": lambda: seconds(peer, mixed),
        "transformers, sorted": lambda: seconds(peer, ordered),
        "seaspeak": lambda: seconds(native, ordered),
    }
    with torch.inference_mode():
        ids, mask = ordered[0]
        real = mask.bool()
        torch.testing.assert_close(native(ids, mask)[real], peer(ids, mask)[real], rtol=1e-3, atol=1e-4)
        taken: dict[str, list[float]] = {name: [] for name in runs}
        for _ in range(given.rounds):
            for name, run in runs.items():
                taken[name].append(run())
    print(f"{len(rows)} texts, {words} words, {torch.get_num_threads()} threads, torch {torch.__version__}")
    for name, times in taken.items():
        ratio = statistics.median(taken["transformers"][i] / times[i] for i in range(given.rounds))
        print(f"{name:22}{words / statistics.median(times):9.0f} words/s   {ratio:5.2f} x transformers")


if __name__ == "__main__":
    main()
