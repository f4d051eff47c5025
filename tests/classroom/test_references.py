"""The short functions of the classroom equal the longer ones of minibert: training steps, a decoder, and greedy decoding."""

import copy
import inspect

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.optim.lr_scheduler import LambdaLR

from minibert import BertConfig, BertForMaskedLM
from minibert.classroom.draws import RandomDraw
from minibert.classroom.exercises.generation import END, PADDING, ScriptedModel, texts_to_continue
from minibert.classroom.exercises.networks import FixedDropout, with_fixed_dropout
from minibert.classroom.references import (
    Batch,
    Schedule,
    attention_in_one_block,
    attention_layer_of_equations,
    decoder,
    greedy_decoding,
    training_steps,
)
from minibert.equations import IGNORE_INDEX, online_softmax_attention, split_heads
from minibert.model.attention import MultiHeadAttention
from minibert.model.generation import greedy_search
from minibert.model.stacks import Decoder
from minibert.training.loop import train
from minibert.training.objective import LossSum, count_targets
from tests.strategies import normal, seeds

CONFIG = BertConfig(
    vocab_size=9,
    hidden_size=4,
    num_attention_heads=2,
    num_hidden_layers=1,
    intermediate_size=6,
    max_position_embeddings=8,
    hidden_dropout_prob=0.0,
    attention_probs_dropout_prob=0.0,
)
RATES = (0.2, 0.1, 0.3, 0.05, 0.2)


def new_model(seed: int) -> nn.Module:
    """Create a model in evaluation mode, with a dropout that is the same in every call."""
    torch.manual_seed(seed)
    model = BertForMaskedLM(CONFIG, "explicit").double().eval()
    for parameter in model.parameters():
        nn.init.normal_(parameter, std=0.7)
    return with_fixed_dropout(model)


def new_batches(seed: int, count: int) -> list[dict[str, Tensor]]:
    """Draw batches with padding and masked positions."""
    generator = torch.Generator().manual_seed(seed)
    batches = []
    for _ in range(count):
        ids, labels = torch.randint(0, 9, (2, 2, 4), generator=generator)
        labels[torch.rand(2, 4, generator=generator) < 0.5] = IGNORE_INDEX
        labels[0, 0], labels[1, 3] = 3, IGNORE_INDEX
        keep = torch.tensor([[1, 1, 1, 1], [1, 1, 1, 0]])
        batches.append({"input_ids": ids, "attention_mask": keep, "labels": labels})
    return batches


def run(model: nn.Module, batches: list[dict[str, Tensor]], max_grad_norm: float) -> tuple[list[float], nn.Module]:
    """Train a copy of the model. Return the losses and the copy."""
    model = copy.deepcopy(model)
    optimizer = torch.optim.SGD(model.parameters(), lr=RATES[0])
    losses = training_steps(model, batches, optimizer, Schedule(optimizer, RATES), max_grad_norm)
    return losses, model


class Objective:
    """The masked-LM loss of these batches, for the training loop of minibert."""

    def target_counts(self, batch: Batch) -> dict[str, float]:
        return {"mlm": count_targets(batch["labels"])}

    def loss_sums(self, model: nn.Module, batch: Batch) -> dict[str, LossSum]:
        output = model(batch["input_ids"], batch["attention_mask"], labels=batch["labels"])
        return {"mlm": LossSum(output.loss * count_targets(batch["labels"]))}


class TestTrainingSteps:
    @settings(max_examples=5)
    @given(seeds, st.sampled_from([0.1, 0.5, 100.0]))
    def test_value(self, seed: int, max_grad_norm: float) -> None:
        """The losses and the parameters are those of the training loop."""
        model, batches = new_model(seed), new_batches(seed, 3)
        losses, ours = run(model, batches, max_grad_norm)
        optimizer = torch.optim.SGD(model.parameters(), lr=RATES[0])
        schedule = LambdaLR(optimizer, lambda step: RATES[step] / RATES[0])
        steps = train(model, [[batch] for batch in batches], Objective(), optimizer, schedule, max_grad_norm)
        assert losses == pytest.approx([step.losses["mlm"] for step in steps])
        for one, other in zip(ours.parameters(), model.parameters(), strict=True):
            torch.testing.assert_close(one, other)

    @settings(max_examples=5)
    @given(seeds, st.sampled_from([0.1, 0.5]))
    def test_first_step_has_the_length_of_the_clipped_gradient(self, seed: int, max_grad_norm: float) -> None:
        """The parameters move by the learning rate times the gradient, which is not longer than the maximum."""
        model, batches = new_model(seed), new_batches(seed, 1)
        _, ours = run(model, batches, max_grad_norm)
        reference = copy.deepcopy(model).train()
        reference(batches[0]["input_ids"], batches[0]["attention_mask"], labels=batches[0]["labels"]).loss.backward()
        norm = nn.utils.get_total_norm([p.grad for p in reference.parameters() if p.grad is not None])
        factor = RATES[0] * (max_grad_norm / norm).clamp(max=1.0)
        for before, after, right in zip(model.parameters(), ours.parameters(), reference.parameters(), strict=True):
            expected = before if right.grad is None else before - factor * right.grad
            torch.testing.assert_close(after, expected, rtol=1e-4, atol=1e-6)

    @settings(max_examples=5)
    @given(seeds, st.integers(1, 2))
    def test_steps_can_be_split(self, seed: int, first: int) -> None:
        """Three steps equal some steps, and then the others with the state of the model and the learning rate after them."""
        model, batches = new_model(seed), new_batches(seed, 3)
        losses, whole = run(model, batches, 0.5)
        optimizer = torch.optim.SGD(model.parameters(), lr=RATES[0])
        schedule = Schedule(optimizer, RATES)
        parts = []
        for some in (batches[:first], batches[first:]):
            model.eval()
            parts += training_steps(model, some, optimizer, schedule, 0.5)
            optimizer.zero_grad()
            optimizer.param_groups[0]["lr"] = RATES[len(parts)]
            schedule.number = len(parts)
        assert losses == pytest.approx(parts)
        for one, other in zip(whole.parameters(), model.parameters(), strict=True):
            torch.testing.assert_close(one, other)

    @settings(max_examples=5)
    @given(seeds)
    def test_padding_has_no_influence(self, seed: int) -> None:
        """Another token id in place of the padding changes no loss."""
        model, batches = new_model(seed), new_batches(seed, 2)
        changed = copy.deepcopy(batches)
        for batch in changed:
            batch["input_ids"][1, 3] = (batch["input_ids"][1, 3] + 1) % 9
        losses, _ = run(model, batches, 0.5)
        assert losses == pytest.approx(run(model, changed, 0.5)[0])

    @settings(max_examples=5)
    @given(seeds)
    def test_loss_is_that_of_the_masked_positions_in_training_mode(self, seed: int) -> None:
        """The first loss is the mean over the labels, with dropout; and repeated steps on one batch make it smaller."""
        model, batches = new_model(seed), new_batches(seed, 1)
        losses, after = run(model, batches, 1.0)
        assert after.training
        batch = batches[0]
        logits = copy.deepcopy(model).train()(batch["input_ids"], batch["attention_mask"]).logits
        labeled = batch["labels"] != IGNORE_INDEX
        expected = nn.functional.cross_entropy(logits[labeled], batch["labels"][labeled])
        assert losses == pytest.approx([expected.item()])
        optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
        many = training_steps(model, batches * 20, optimizer, Schedule(optimizer, [0.01] * 21), 1.0)
        assert many[-1] < many[0]

    def test_gradients_have_at_most_the_length_1_if_no_other_is_given(self) -> None:
        model, batches = new_model(0), new_batches(0, 2)
        copied = copy.deepcopy(model)
        optimizer = torch.optim.SGD(copied.parameters(), lr=RATES[0])
        losses, expected = run(model, batches, 1.0)
        assert training_steps(copied, batches, optimizer, Schedule(optimizer, RATES)) == losses
        assert all(torch.equal(*pair) for pair in zip(copied.parameters(), expected.parameters(), strict=True))


def decode(model: ScriptedModel, prompt: Tensor, max_new_tokens: int = 6) -> Tensor:
    return greedy_decoding(model, prompt, END, max_new_tokens, PADDING)


def drawn(seed: int, lengths: tuple[int, ...]) -> tuple[ScriptedModel, Tensor]:
    inputs = texts_to_continue(RandomDraw(seed), lengths)
    return inputs["next_logits"], inputs["prompt"]


lengths_of_texts = st.lists(st.integers(1, 9), min_size=1, max_size=4).map(tuple)


class TestGreedyDecoding:
    @given(seeds, lengths_of_texts)
    def test_value(self, seed: int, lengths: tuple[int, ...]) -> None:
        """The tokens are those of greedy search, followed by padding."""
        model, prompt = drawn(seed, lengths)
        state = {"tokens": prompt[:, :0], "rows": torch.arange(len(prompt))}

        def next_logits(tokens: Tensor, cache: object, rows: Tensor) -> Tensor:
            kept = (state["rows"][:, None] == rows).any(dim=1)
            state.update(tokens=torch.cat([state["tokens"][kept], tokens], dim=1), rows=rows)
            return model(state["tokens"])

        expected = [sequence.tokens for sequence in greedy_search(next_logits, prompt, END, 6)]
        longest = max(map(len, expected))
        padded = [tokens + [PADDING] * (longest - len(tokens)) for tokens in expected]
        assert decode(model, prompt).tolist() == padded

    @given(seeds, lengths_of_texts)
    def test_texts_end_with_the_end_token(self, seed: int, lengths: tuple[int, ...]) -> None:
        """Each text has as many tokens as planned, then the end token, then padding; and at most the maximum."""
        model, prompt = drawn(seed, lengths)
        tokens = decode(model, prompt)
        assert tokens.shape == (len(lengths), min(6, max(lengths)))
        for row, length in zip(tokens.tolist(), lengths, strict=True):
            own = row[:length]
            assert END not in own[:-1]
            assert PADDING not in own
            assert (own[-1] == END) == (length <= 6)
            assert row[length:] == [PADDING] * len(row[length:])

    @given(seeds, lengths_of_texts)
    def test_texts_of_a_batch_are_independent(self, seed: int, lengths: tuple[int, ...]) -> None:
        """Each text is continued as by itself."""
        model, prompt = drawn(seed, lengths)
        for row, tokens in enumerate(decode(model, prompt)):
            (alone,) = decode(model, prompt[row : row + 1])
            assert tokens[: len(alone)].tolist() == alone.tolist()

    @given(seeds, lengths_of_texts)
    def test_each_token_is_the_most_likely_after_all_tokens_before_it(self, seed: int, lengths: tuple[int, ...]) -> None:
        model, prompt = drawn(seed, lengths)
        tokens = torch.cat([prompt, decode(model, prompt)], dim=1)
        for position in range(prompt.shape[1], tokens.shape[1]):
            running = ~(tokens[:, prompt.shape[1] : position] == END).any(dim=1)
            best = model(tokens[:, :position]).argmax(dim=-1)
            assert torch.equal(tokens[running, position], best[running])

    def test_padding_follows_the_end_token_although_the_model_goes_on(self) -> None:
        """The model predicts the next number. The first text ends long before the last one, and its padding is 0."""

        def next_logits(tokens: Tensor) -> Tensor:
            return torch.eye(9)[tokens[:, -1] + 1]

        prompt = torch.tensor([[4], [1]])
        assert greedy_decoding(next_logits, prompt, 5, 6).tolist() == [[5, 0, 0, 0], [2, 3, 4, 5]]
        assert greedy_decoding(next_logits, prompt, 5, 2, 7).tolist() == [[5, 7], [2, 3]]

    def test_prompt_is_not_changed(self) -> None:
        model, prompt = drawn(0, (3, 9))
        before = prompt.clone()
        decode(model, prompt)
        assert torch.equal(prompt, before)


KEEP = torch.tensor([[False, True, True, True], [True, True, True, True]])
MEMORY_KEEP = torch.tensor([[True, True, False], [True, True, True]])


def new_decoder(seed: int) -> Decoder:
    torch.manual_seed(seed)
    module = Decoder(CONFIG, 2, "learned", attention="explicit").double().eval()
    for parameter in module.parameters():
        nn.init.normal_(parameter, std=0.7)
    return module


class TestDecoder:
    @settings(max_examples=5)
    @given(seeds)
    def test_value(self, seed: int) -> None:
        """The output is that of the decoder of minibert."""
        module, words, memory = new_decoder(seed), normal(seed, 2, 4, 4), normal(seed + 1, 2, 3, 4)
        expected = module(words, KEEP, memory, MEMORY_KEEP)
        torch.testing.assert_close(decoder(module, words, KEEP, memory, MEMORY_KEEP), expected)

    @settings(max_examples=5)
    @given(seeds)
    def test_each_token_depends_on_kept_tokens_up_to_itself(self, seed: int) -> None:
        """The output for a token has a gradient with respect to exactly the kept tokens up to it, and the kept sources."""
        for t in range(1, 4):
            words, memory = normal(seed, 2, 4, 4).requires_grad_(), normal(seed + 1, 2, 3, 4).requires_grad_()
            decoder(new_decoder(seed), words, KEEP, memory, MEMORY_KEEP)[:, t].square().sum().backward()
            assert torch.equal(words.grad.abs().amax(-1) > 1e-12, KEEP & (torch.arange(4) <= t))
            assert torch.equal(memory.grad.abs().amax(-1) > 1e-12, MEMORY_KEEP)

    @settings(max_examples=5)
    @given(seeds)
    def test_a_token_attends_to_itself(self, seed: int) -> None:
        """A single token has a value, which reaches the output."""
        module, keep = new_decoder(seed), torch.ones(1, 1, dtype=torch.bool)
        decoder(module, normal(seed, 1, 1, 4), keep, normal(seed + 1, 1, 1, 4), keep).square().sum().backward()
        assert module.layers[0].attention.value.weight.grad.abs().max() > 1e-12

    @settings(max_examples=5)
    @given(seeds)
    def test_the_first_token_has_the_first_position(self, seed: int) -> None:
        """The vectors of positions that are used are those of the tokens, from 0 on."""
        module = new_decoder(seed)
        decoder(module, normal(seed, 2, 4, 4), KEEP, normal(seed + 1, 2, 3, 4), MEMORY_KEEP).square().sum().backward()
        (table,) = (parameter for name, parameter in module.named_parameters() if name.startswith("positions"))
        assert (table.grad.abs().amax(dim=1) > 0).tolist() == [True] * 4 + [False] * (len(table) - 4)


def test_numbers_of_the_fixed_dropout() -> None:
    """Every third number is dropped, the others are 1.5 times as large; in evaluation mode nothing happens."""
    x = normal(0, 2, 3)
    dropout = FixedDropout()
    torch.testing.assert_close(dropout(x), x * torch.tensor([1.5, 1.5, 0.0]))
    assert dropout.eval()(x) is x


KEEP_OF_QUERIES = torch.tensor([[True, True, False], [True, False, True]])


@pytest.mark.parametrize("keep", [None, KEEP_OF_QUERIES], ids=["all", "masked"])
def test_attention_in_one_block(keep: Tensor | None) -> None:
    """It is another form of the exercise: the results are equal for every block size, and so are the parameters."""
    query, key, value = normal(0, 2, 4), normal(1, 3, 4), normal(2, 3, 5)
    for size in (1, 2, 64):
        expected = online_softmax_attention(query, key, value, keep, size)
        torch.testing.assert_close(attention_in_one_block(query, key, value, keep, size), expected)
    parameters = [inspect.signature(each).parameters for each in (attention_in_one_block, online_softmax_attention)]
    assert [(each.name, each.default) for each in parameters[0].values()] == [
        (each.name, each.default) for each in parameters[1].values()
    ]


@pytest.mark.parametrize("keep", [None, KEEP_OF_QUERIES], ids=["all", "masked"])
def test_attention_layer_of_equations(keep: Tensor | None) -> None:
    """It equals the layer, from tokens and from the keys and values of earlier tokens."""
    torch.manual_seed(0)
    layer = MultiHeadAttention(4, 2, attention="explicit").double().eval()
    queries, keys = normal(0, 1, 2, 4), normal(1, 1, 3, 4)
    cache = split_heads(layer.key(keys), 2), split_heads(layer.value(keys), 2)
    mask = None if keep is None else keep[None, None]
    for keys_from in (keys, cache):
        found = attention_layer_of_equations(layer, queries, keys_from, mask)
        torch.testing.assert_close(found, layer(queries, keys_from, mask))


def test_a_schedule_sets_the_learning_rate_of_the_next_step_in_every_group() -> None:
    groups = [{"params": [torch.zeros(1, requires_grad=True)]} for _ in range(2)]
    optimizer = torch.optim.SGD(groups, lr=0.1)
    schedule = Schedule(optimizer, (0.1, 0.2, 0.3))
    for rate in (0.2, 0.3):
        schedule.step()
        assert [group["lr"] for group in optimizer.param_groups] == [rate, rate]
