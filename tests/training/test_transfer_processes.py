"""Ways to transfer, in two processes: the same steps, the same best evaluation and the same model as in one."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from minibert.commands import main
from minibert.model import BertForPreTraining, load
from minibert.text.tokenizer import save_tokenizer
from tests.processes import ForkedCommand
from tests.training.test_finetuning_options import CONFIG, TOKENIZER, WORDS

OPTIONS = "--epochs 4 --batch-size 6 --dropout 0 --precision float64 --learning-rate 1e-2 --device cpu --freeze embeddings"
TRANSFER = "--unfreeze-per-epoch 1 --layer-decay 0.8 --patience 1 --balanced-classes"


def write_data(folder: Path) -> list[str]:
    """Write a checkpoint and labeled texts. Return the options that name them."""
    torch.manual_seed(0)
    BertForPreTraining(CONFIG).save_pretrained(folder / "start")
    save_tokenizer(TOKENIZER, folder / "start", CONFIG.max_position_embeddings)
    generator, options = np.random.default_rng(0), ["--from", str(folder / "start")]
    for name, count in (("train", 21), ("validation", 12)):
        rows = [" ".join(generator.choice([*WORDS], 1 + number % 7)) for number in range(count)]
        lines = [f"{text}\t{'yes' if text[0] in 'abc' else 'no'}\n" for text in rows]
        (folder / f"{name}.tsv").write_text("text\tlabel\n" + "".join(lines))
        options += [f"--{name}", str(folder / f"{name}.tsv")]
    return options


@pytest.mark.slow
def test_two_processes_equal_one(tmp_path: Path) -> None:
    """Layers that join in later epochs are found by both processes, and both stop after the same evaluation."""
    words = ["finetune", "classify", *write_data(tmp_path), *OPTIONS.split(), *TRANSFER.split()]
    two = ForkedCommand([*words, "--out", str(tmp_path / "two")], processes=2)
    assert main([*words, "--out", str(tmp_path / "one")]) == 0
    output, _ = two.communicate(timeout=120)
    assert two.returncode == 0, output
    one, other = ([json.loads(line) for line in (tmp_path / name / "metrics.jsonl").open()] for name in ("one", "two"))
    losses = [[entry["classification_loss"] for entry in entries] for entries in (one, other)]
    np.testing.assert_allclose(losses[0], losses[1], rtol=0, atol=1e-10)
    expected, found = (load(tmp_path / name).state_dict() for name in ("one", "two"))
    for name in expected:
        torch.testing.assert_close(found[name], expected[name], rtol=0, atol=1e-9)
