"""Our encoder beside transformers' and beside its matrix products alone, on the same weights, in turns.

python benchmarks/nlp_encoder.py ENCODER_FOLDER TEXT_FILE [--rounds 9] [--threads 1]

Both encode the same pieces of the same texts: one text at a time, and batches of 32 as a user hands them over, in the
order in which they come and padded to the longest. The last column is what no program with these layers can go below:
its products of matrices, over the tokens that count. Times are the processor's, so that other work on the machine
disturbs little; outputs are compared first.

ENCODER_FOLDER may be ``distilbert``: its published shape, with random weights.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch
import transformers
from torch import Tensor

from seaspeak.collections.nlp.modules.encoder import Encoder
from seaspeak.collections.nlp.modules.huggingface import get_lm_model
from seaspeak.text.tokenizers import WordPieceTokenizer

BATCH = 32
Batch = tuple[Tensor, Tensor]


def padded(rows: list[list[int]]) -> Batch:
    ids = torch.nn.utils.rnn.pad_sequence([torch.tensor(row) for row in rows], batch_first=True)
    lengths = torch.tensor([len(row) for row in rows])
    return ids, (torch.arange(ids.shape[1]) < lengths[:, None]).long()


def products(encoder: Encoder, tokens: int) -> Callable[[], None]:
    """Return a function that multiplies the matrices of all layers for so many tokens, and does nothing else."""
    work = []
    for layer in encoder.layers:
        query, key, value, seen, _, inner, outer, _ = layer.parts
        for parts in ((query, key, value), (seen,), (inner,), (outer,)):
            weight = torch.cat([part.weight for part in parts]).t().contiguous()
            work.append((torch.cat([part.bias for part in parts]), torch.randn(tokens, len(weight)), weight))

    def run() -> None:
        for bias, x, weight in work:
            torch.addmm(bias, x, weight)

    return run


def seconds(run: Callable[[], object]) -> float:
    start = time.process_time()
    run()
    return time.process_time() - start


def cases(rows: list[list[int]], words: list[int]) -> Iterator[tuple[str, list[Batch], int]]:
    """Yield a name, batches and how many words they hold."""
    for low, high in ((12, 18), (27, 33), (54, 66)):
        chosen = [place for place, count in enumerate(words) if low <= count <= high][:8]
        name = f"one text of {low} to {high} words at a time"
        yield name, [padded([rows[place]]) for place in chosen], sum(words[place] for place in chosen)
    groups = [range(start, start + BATCH) for start in range(0, 3 * BATCH, BATCH)]
    yield "32 texts of one length", [(padded(rows[:BATCH])[0][:, :45], torch.ones(BATCH, 45).long())], 0
    yield (
        "32 paragraphs as they come",
        [padded([rows[place] for place in group]) for group in groups],
        sum(words[place] for group in groups for place in group),
    )


def load(encoder: str) -> tuple[Encoder, Any]:
    if encoder != "distilbert":
        return get_lm_model(encoder).eval(), transformers.AutoModel.from_pretrained(encoder).eval()
    torch.manual_seed(0)
    theirs = transformers.DistilBertModel(transformers.DistilBertConfig()).eval()
    with tempfile.TemporaryDirectory() as folder:
        theirs.save_pretrained(folder)
        return get_lm_model(folder).eval(), theirs


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("encoder")
    parser.add_argument("text", type=Path)
    parser.add_argument("--vocabulary", type=Path, help="the encoder's vocab.txt by default")
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--threads", type=int, default=1)
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    tokenizer = WordPieceTokenizer(given.vocabulary or Path(given.encoder) / "vocab.txt")
    lines = [line for line in given.text.read_text().splitlines() if 3 < len(line.split()) < 180]
    rows = [[tokenizer.cls_id, *tokenizer.text_to_ids(line)[:254], tokenizer.sep_id] for line in lines]
    ours, theirs = load(given.encoder)
    print(f"{Path(given.encoder).name}: {given.threads} threads, torch {torch.__version__}, ", end="")
    print(f"transformers {transformers.__version__}; milliseconds of processor time, medians")
    print("| work | real tokens | transformers | seaspeak | products alone | ratio | largest possible | words/s |")
    print("|---|---|---|---|---|---|---|---|")
    with torch.inference_mode():
        for name, batches, words in cases(rows, [len(line.split()) for line in lines]):
            report(ours, theirs, name, batches, words, given.rounds)


def report(ours: Encoder, theirs: Any, name: str, batches: list[Batch], words: int, rounds: int) -> None:
    for ids, mask in batches:
        found, expected = ours(ids, mask).last_hidden_states, theirs(input_ids=ids, attention_mask=mask)[0]
        torch.testing.assert_close(found[mask.bool()], expected[mask.bool()], rtol=0, atol=1e-5)
    floor = [products(ours, int(mask.sum())) for _, mask in batches]
    runs: list[Callable[[], object]] = [
        lambda: [theirs(input_ids=ids, attention_mask=mask) for ids, mask in batches],
        lambda: [ours(ids, mask) for ids, mask in batches],
        lambda: [run() for run in floor],
    ]
    taken = [[seconds(run) for run in runs] for _ in range(rounds)]
    peer, own, least = (statistics.median(column) for column in zip(*taken, strict=True))
    ratio = statistics.median(row[0] / row[1] for row in taken)
    possible = statistics.median(row[0] / row[2] for row in taken)
    share = sum(int(mask.sum()) for _, mask in batches) / sum(mask.numel() for _, mask in batches)
    times = " | ".join(f"{1000 * each / len(batches):.1f}" for each in (peer, own, least))
    speed = f"{words / own:,.0f}" if words else "-"
    print(f"| {name} | {share:.0%} | {times} | **{ratio:.2f}** | {possible:.2f} | {speed} |", flush=True)


if __name__ == "__main__":
    main()
