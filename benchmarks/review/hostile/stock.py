"""Undamaged models, runs and courses, which the cases copy and damage."""

import contextlib
import io
import os
from pathlib import Path

from minibert import BertForPreTraining
from minibert.commands import main
from minibert.training.answering import Answering
from minibert.training.classification import Classification
from minibert.training.tagging import Tagging
from tests.trained_models import WORDS, trained_model, write_checkpoint, write_gpt2

TEXT = "".join(
    f"The {word} film was {other}. It was a {other} movie.\n" + ("\n" if number % 3 == 0 else "")
    for number, (word, other) in enumerate([(a, b) for a in WORDS[:10] for b in WORDS[:10]])
)
ROWS = "text\tlabel\n" + "".join(
    f"a {word} film number {n}\t{'good' if n % 2 else 'bad'}\n" for n, word in enumerate(WORDS * 4)
)
TRAINING = "--batch-size 4 --max-length 16 --device cpu"
COMMANDS = (
    f"pretrain --text corpus.txt --out run --steps 2 --vocab-size 120 {TRAINING}",
    f"finetune classify --train rows.tsv --from bert --out classifier-run --steps 2 {TRAINING}",
    "train-letters --out translator --steps 2 --batch-tokens 64 --device cpu",
    "class release course --exercises softmax layer_norm split_word",
    "learn exercises",
)


def make_stock(folder: Path) -> None:
    """Write everything that is not damaged."""
    folder.mkdir()
    write_checkpoint(folder / "bert", ["the", "was", "a", *WORDS, "."], BertForPreTraining, max_position_embeddings=64)
    write_gpt2(folder / "gpt2", WORDS)
    trained_model(folder / "classifier", Classification(("bad", "good"), max_length=32))
    trained_model(folder / "tagger", Tagging(("O", "B-PER", "I-PER"), max_length=32, overlap=8))
    trained_model(folder / "answerer", Answering(max_length=32, overlap=8))
    (folder / "corpus.txt").write_text(TEXT, encoding="utf-8")
    (folder / "rows.tsv").write_text(ROWS, encoding="utf-8")
    before = Path.cwd()
    os.chdir(folder)
    for command in COMMANDS:
        shown = io.StringIO()
        with contextlib.redirect_stdout(shown), contextlib.redirect_stderr(shown):
            code = main(command.split())
        assert code == 0, shown.getvalue()
    os.chdir(before)
