"""Trained relatives of BERT: every stage agrees with transformers. Their tokenizers cannot be loaded, so the input is ids."""

import os
from pathlib import Path

import pytest
import torch

from minibert.model import read_checkpoint
from minibert.study.verify.comparison import TOLERANCES, compare
from minibert.study.verify.inputs import make_inputs
from minibert.study.verify.stages import minibert_stages, transformers_stages

pytest.importorskip("transformers")
SEQUENCE = "DIQMTQSPSSLSASVGDRVTITCRASQSISSYLNWYQQKPGKAPKLLIYAASSLQSGVPSRFSGSGSGTDFTLTISSLQPEDFATYYCQQSYSTPLTFGGGTKVEIK"
"""Amino acids of an antibody: the example of the checkpoint's README."""
REACTION = "[CLS] C C ( = O ) O . N c 1 c c c c c 1 >> C C ( = O ) N c 1 c c c c c 1 [SEP]"
"""Acetic acid and aniline become acetanilide, as tokens."""


def folder_of(name: str) -> Path:
    folder = Path(os.environ["MINIBERT_DATA"]) / "models" / name
    if not folder.is_dir():
        pytest.skip(f"{folder} not found")
    return folder


def sequence_ids(folder: Path) -> list[int]:
    """Return the ids of the letters: line numbers after four special tokens. </s> is 2."""
    letters = [line.split()[0] for line in (folder / "dict.txt").read_text().splitlines()]
    return [4 + letters.index(letter) for letter in SEQUENCE] + [2]


def reaction_ids(folder: Path) -> list[int]:
    pieces = (folder / "vocab.txt").read_text().splitlines()
    return [pieces.index(token) for token in REACTION.split()]


@pytest.mark.skipif("MINIBERT_DATA" not in os.environ, reason="set MINIBERT_DATA to the folder with models/")
@pytest.mark.filterwarnings("ignore:.*not used by AlbertForMaskedLM. pooler")
@pytest.mark.parametrize("dtype", TOLERANCES)
@pytest.mark.parametrize(
    ("name", "ids_of", "stages"), [("sapiens_vl_roberta", sequence_ids, 59), ("rxnmapper_albert_mlm", reaction_ids, 164)]
)
def test_every_stage_agrees(name: str, ids_of, stages: int, dtype: torch.dtype) -> None:
    """In float32 to 2e-5 and in float64 to 1e-10, relative to the largest value of a stage or to 1."""
    folder = folder_of(name)
    checkpoint = read_checkpoint(folder)
    model = checkpoint.load(dtype=dtype)
    inputs = make_inputs(model, folder, ids=ids_of(folder))
    comparison = compare(transformers_stages(checkpoint, model, inputs), minibert_stages(model, inputs), inputs, model)
    assert comparison.tolerance == {torch.float32: 2e-5, torch.float64: 1e-10}[dtype]
    assert comparison.agrees
    assert len(comparison.stages) == stages
    assert comparison.stages[-1].name == "mlm.logits"


@pytest.mark.skipif("MINIBERT_DATA" not in os.environ, reason="set MINIBERT_DATA to the folder with models/")
def test_the_letters_of_an_antibody_are_predicted() -> None:
    """One letter masked at a time, 102 of the 107 are predicted, as many as by transformers."""
    folder = folder_of("sapiens_vl_roberta")
    ids = torch.tensor(sequence_ids(folder))
    letters = len(ids) - 1
    masked = ids.repeat(letters, 1)
    masked.fill_diagonal_(24)
    with torch.no_grad():
        predicted = read_checkpoint(folder).load()(masked).logits.diagonal(dim1=0, dim2=1).argmax(dim=0)
    assert (letters, int((predicted == ids[:-1]).sum())) == (107, 102)
