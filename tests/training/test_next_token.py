"""Pretraining of GPT-2: equality with transformers, baselines, and the loss per character."""

import math
from collections import Counter, defaultdict
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from minibert.equations import IGNORE_INDEX
from minibert.model import PRESETS, GPT2Config, GPT2LMHeadModel
from minibert.model.gpt2 import CausalLMSums
from minibert.observe import record
from minibert.text.characters import build_character_tokenizer
from minibert.text.corpus import Document
from minibert.text.options import ExampleConfig
from minibert.text.packing import LINES, NextTokenBatch, PackedExamples, in_order
from minibert.text.tokenized import TokenizedCorpus
from minibert.text.tokenizer import GPT2_TOKENS, build_byte_pair_tokenizer
from minibert.training.costs import next_token_cost
from minibert.training.next_token import NextTokenObjective, next_token_run, tokens_per_character
from minibert.training.next_token_text import next_token_baselines
from minibert.training.options import DeviceOptions, PretrainingConfig
from minibert.training.pretraining_families import for_whole_texts
from minibert.training.run import TrainingRun
from tests.training.test_against_transformers import LEARNING_RATE, STEPS, WEIGHT_DECAY, aligned_schedule

transformers = pytest.importorskip("transformers")

MAX_GRAD_NORM = 0.3
TOKENIZER = build_character_tokenizer(["\n", " ", *"abcdefgh"])
DOCUMENTS = [
    Document(
        str(number), tuple(" ".join("abcdefgh"[(number + step) % 8 :][:4] for step in range(3)) for _ in range(number % 4 + 1))
    )
    for number in range(20)
]
CORPUS = TokenizedCorpus.from_documents(DOCUMENTS, TOKENIZER, LINES)
CONFIG = PretrainingConfig(
    family="gpt2",
    steps=STEPS,
    batch_size=6,
    learning_rate=LEARNING_RATE,
    warmup_fraction=0.2,
    weight_decay=WEIGHT_DECAY,
    max_grad_norm=MAX_GRAD_NORM,
    dropout=0.0,
    precision="float64",
    examples=ExampleConfig(max_length=12),
)


@pytest.fixture(autouse=True)
def small_preset(monkeypatch: pytest.MonkeyPatch) -> None:
    small = replace(PRESETS["tiny"], hidden_size=24, num_attention_heads=3, intermediate_size=40)
    monkeypatch.setitem(PRESETS, "tiny", small)


def make_run(micro_batch_size: int | None = None) -> TrainingRun[GPT2LMHeadModel, NextTokenBatch]:
    run = next_token_run(CONFIG, DeviceOptions(device="cpu", micro_batch_size=micro_batch_size), CORPUS, TOKENIZER)
    for parameter in run.model.parameters():
        nn.init.normal_(parameter, std=0.2)
    return run


def load_theirs(run: TrainingRun[Any, Any], folder: Path) -> Any:
    run.export(folder)
    return transformers.GPT2LMHeadModel.from_pretrained(folder, dtype=torch.float64, attn_implementation="eager").train()


def their_loss(theirs: Any, batch: NextTokenBatch) -> Tensor:
    """Compute the loss of the logits of transformers. Its own loss is in single precision."""
    return nn.functional.cross_entropy(theirs(batch.input_ids).logits.flatten(0, 1), batch.next_tokens.flatten())


class TestNextTokenObjective:
    def test_loss_and_gradients_equal_those_of_transformers(self, tmp_path: Path) -> None:
        """Of a packed batch with windows of all lengths, in float64, without and with a matrix of scores."""
        run = make_run()
        epoch = run.examples.epoch(0)
        batch = epoch.batch(epoch.lengths.argsort())
        assert (batch.next_tokens == IGNORE_INDEX).any()
        theirs = load_theirs(run, tmp_path)
        their_loss(theirs, batch).backward()
        expected = GPT2LMHeadModel.names.read({name: each.grad for name, each in theirs.named_parameters()})
        objective = NextTokenObjective()
        count = objective.target_counts(batch)["clm"]
        assert count == len(CORPUS.ids)
        for records in (False, True):
            run.model.zero_grad()
            if records:
                with record(run.model):
                    sums = objective.loss_sums(run.model, batch)["clm"]
            else:
                sums = objective.loss_sums(run.model, batch)["clm"]
            (sums.loss / count).backward()
            assert abs(sums.loss.item() / count - their_loss(theirs, batch).item()) < 1e-12
            for name, parameter in run.model.named_parameters():
                torch.testing.assert_close(parameter.grad, expected[name], rtol=0, atol=1e-12)
        best = theirs(batch.input_ids).logits.argmax(-1)
        assert sums.correct == (best == batch.next_tokens).sum()

    def test_short_windows_need_no_mask(self) -> None:
        """The padding of a short window has no influence on its loss, because it is on the right."""
        run = make_run()
        epoch = run.examples.epoch(0)
        order = epoch.lengths.argsort()
        alone = [run.objective.loss_sums(run.model, epoch.batch(order[row : row + 1]))["clm"].loss for row in range(len(order))]
        together = run.objective.loss_sums(run.model, epoch.batch(order))["clm"].loss
        assert sum(alone).item() == pytest.approx(together.item(), abs=1e-9)


def test_thirty_steps_equal_those_of_transformers(tmp_path: Path) -> None:
    """Losses and final weights differ by at most 1e-8. The loss falls, and gradients are clipped."""
    run = make_run()
    theirs = load_theirs(run, tmp_path)
    groups = [
        {"params": [each for each in theirs.parameters() if (each.ndim > 1) == decays], "weight_decay": WEIGHT_DECAY * decays}
        for decays in (False, True)
    ]
    optimizer = torch.optim.AdamW(groups, lr=LEARNING_RATE)
    schedule, losses, norms = aligned_schedule(optimizer), [], []
    for (_, (batch,)), _ in zip(run.batches(), range(STEPS), strict=False):
        loss = their_loss(theirs, batch)
        loss.backward()
        norms.append(nn.utils.clip_grad_norm_(theirs.parameters(), MAX_GRAD_NORM).item())
        optimizer.step()
        schedule.step()
        optimizer.zero_grad()
        losses.append(loss.item())
    assert [step.losses["clm"] for step in run.run()] == pytest.approx(losses, rel=0, abs=1e-8)
    for name, weight in run.model.export_weights(run.model.state_dict(), run.model.config).items():
        torch.testing.assert_close(weight, theirs.state_dict()[name], rtol=0, atol=1e-8)
    assert sum(losses[-6:]) < sum(losses[:6])
    assert max(norms) > MAX_GRAD_NORM


def test_micro_batches_equal_one_batch() -> None:
    for one, other in zip(make_run().run(), make_run(micro_batch_size=2).run(), strict=True):
        assert one.losses["clm"] == pytest.approx(other.losses["clm"], rel=0, abs=1e-10)


def test_sums_and_logits_give_the_same_loss() -> None:
    """`next_tokens` gives the sums of what `labels` gives the mean of; a wrong shape is an error."""
    torch.manual_seed(0)
    model = GPT2LMHeadModel(GPT2Config(vocab_size=9, hidden_size=8, num_attention_heads=2, num_hidden_layers=1)).eval()
    ids = torch.tensor([[5, 3, 4, 1]])
    sums = model(ids[:, :-1], next_tokens=ids[:, 1:])
    assert isinstance(sums, CausalLMSums)
    assert sums.loss_sum.item() / 3 == pytest.approx(model(ids, labels=ids).loss.item(), abs=1e-6)
    with pytest.raises((TypeError, ValueError), match="next_tokens"):
        model(ids, next_tokens=ids[:, 1:])


def test_baselines_are_the_losses_of_tables() -> None:
    """Of frequencies, and of frequencies after the token before, counted here in dictionaries."""
    train = TokenizedCorpus.from_documents(DOCUMENTS[:15], TOKENIZER, LINES)
    batches = in_order(TokenizedCorpus.from_documents(DOCUMENTS[15:], TOKENIZER, LINES), TOKENIZER, 12, 1000, 4)
    losses = next_token_baselines(train, batches, TOKENIZER)
    ids, size = train.ids.tolist(), TOKENIZER.get_vocab_size()
    counts, followers = Counter(ids), defaultdict[int, Counter[int]](Counter)
    for before, after in pairwise(ids):
        followers[before][after] += 1
    frequency = {token: (counts[token] + 1) / (len(ids) + size) for token in range(size)}
    unigram, bigram = [], []
    for batch in batches:
        for token, target in zip(batch.input_ids.flatten().tolist(), batch.next_tokens.flatten().tolist(), strict=True):
            if target == IGNORE_INDEX:
                continue
            after = followers[token]
            unigram.append(-math.log(frequency[target]))
            bigram.append(-math.log((after[target] + len(after) * frequency[target]) / (after.total() + len(after))))
    assert losses == {
        "ln V": pytest.approx(math.log(11)),
        "unigram entropy": pytest.approx(sum(unigram) / len(unigram), rel=1e-5),
        "bigram entropy": pytest.approx(sum(bigram) / len(bigram), rel=1e-5),
    }
    assert losses["bigram entropy"] < losses["unigram entropy"] < losses["ln V"]
    assert next_token_baselines(train, [], TOKENIZER).keys() == {"ln V"}


@pytest.mark.parametrize("merges", [[], [("a", "b"), ("ab", "c"), ("Ġ", "abc")]])
def test_the_loss_per_character_does_not_depend_on_the_tokens(merges: list[tuple[str, str]]) -> None:
    """The characters are those of the text, also if some have several bytes."""
    documents = [Document("", ("abc abc é中", "b")), Document("", ("abcab",))]
    tokenizer = build_byte_pair_tokenizer(merges, GPT2_TOKENS)
    corpus = TokenizedCorpus.from_documents(documents, tokenizer, LINES)
    batches = in_order(corpus, tokenizer, 4, 1000, 2)
    characters = sum(len(line) + 1 for each in documents for line in each.sentences)
    assert tokens_per_character(batches, tokenizer) == pytest.approx(len(corpus.ids) / characters)


def test_cost_counts_the_products_of_the_forward_pass() -> None:
    """As torch counts them, three times: forward, and twice backward."""
    config = GPT2Config(vocab_size=13, hidden_size=8, num_attention_heads=2, num_hidden_layers=3, intermediate_size=12)
    model = GPT2LMHeadModel(config, attention="explicit").eval()
    ids = torch.full((3, 5), 5)
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        model(ids)
    assert next_token_cost(config, [NextTokenBatch(ids, ids)]) == (15, 3 * counter.get_total_flops())


def test_settings_of_masks_are_refused() -> None:
    config = replace(CONFIG, examples=ExampleConfig(max_length=16))
    assert for_whole_texts(config, "gpt2") == replace(config, family="gpt2")
    for name, value in {"mlm_probability": 0.2, "pairs": "none", "whole_word_masking": True, "dupe_factor": 2}.items():
        with pytest.raises(ValueError, match=f"--{name.replace('_', '-')}: a gpt2 is trained on whole texts"):
            for_whole_texts(replace(CONFIG, examples=replace(ExampleConfig(), **{name: value})), "gpt2")


def test_an_epoch_of_a_run_has_every_token_once() -> None:
    """Over the steps of its first epoch, with the micro-batches of two processes."""
    run, seen = make_run(micro_batch_size=2), []
    for position, batches in run.batches():
        seen += [token for batch in batches for token in batch.next_tokens.flatten().tolist() if token != IGNORE_INDEX]
        if position.ends_epoch:
            break
    assert sorted(seen) == sorted(CORPUS.ids.tolist())


def test_the_order_of_documents_and_windows_depends_on_the_seed() -> None:
    epochs = [PackedExamples(CORPUS, TOKENIZER, 12, seed).epoch(0) for seed in (0, 0, 1)]
    first, again, other = ([*epoch.lengths, *epoch.packing.old_starts] for epoch in epochs)
    assert first == again != other
