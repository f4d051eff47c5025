"""ELECTRA's pretraining: equal to the paper's algorithm with the networks of transformers; samples, checkpoints and costs."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import functional as F
from torch.utils.flop_counter import FlopCounterMode

from minibert.equations import IGNORE_INDEX, electra_loss
from minibert.model.electra import GENERATOR_FOLDER, ElectraWithGenerator, generator_config
from minibert.model.families import NETWORKS, AlbertConfig, ElectraConfig
from minibert.text.corpus import Document
from minibert.text.examples import PretrainingBatch, PretrainingExamples
from minibert.text.options import ExampleConfig
from minibert.text.tokenized import TokenizedCorpus
from minibert.text.tokenizer import MASK, SPECIAL_TOKENS, build_tokenizer, token_id
from minibert.training.costs import electra_cost, pretraining_cost
from minibert.training.loop import evaluate
from minibert.training.options import DeviceOptions, PretrainingConfig
from minibert.training.pretraining import pretraining_run
from minibert.training.pretraining_objectives import ORIGINAL, ElectraObjective
from tests import reference

transformers = pytest.importorskip("transformers")
WORDS = [f"{a}{b}" for a in "abcdef" for b in "uvwxyz"]
TOKENIZER = build_tokenizer([*SPECIAL_TOKENS, *WORDS])
CONFIG = ElectraConfig(
    vocab_size=len(WORDS) + len(SPECIAL_TOKENS),
    hidden_size=12,
    embedding_size=6,
    num_hidden_layers=2,
    num_attention_heads=3,
    intermediate_size=10,
    max_position_embeddings=32,
    hidden_dropout_prob=0.0,
    attention_probs_dropout_prob=0.0,
    initializer_range=0.3,
)
EXAMPLES = ExampleConfig(max_length=16, pairs="none", mlm_probability=0.3)


def corpus(count: int = 12) -> TokenizedCorpus:
    generator = np.random.default_rng(0)
    documents = [Document(f"{d}", tuple(" ".join(generator.choice(WORDS, 6)) for _ in range(4))) for d in range(count)]
    return TokenizedCorpus.from_documents(documents, TOKENIZER)


def make_batch(count: int = 8) -> PretrainingBatch:
    epoch = PretrainingExamples(corpus(), TOKENIZER, EXAMPLES, mask_share=0.85).epoch(0)
    return epoch.batch(np.arange(count))


def make_model() -> ElectraWithGenerator:
    torch.manual_seed(0)
    return ElectraWithGenerator(CONFIG).double()


def paper_loss(discriminator: Any, generator: Any, batch: PretrainingBatch) -> tuple[Tensor, Tensor]:
    """Compute the losses of Clark et al. 2020, section 2, one masked token after the other."""
    inputs = {"attention_mask": batch.attention_mask.long(), "token_type_ids": batch.token_type_ids}
    scores = generator(input_ids=batch.input_ids, **inputs).logits
    corrupted, is_replaced, mlm = batch.input_ids.clone(), torch.zeros_like(batch.input_ids), []
    places = (batch.labels != IGNORE_INDEX).nonzero().tolist()
    assert batch.uniform_at is not None
    for (row, column), u in zip(places, batch.uniform_at.tolist(), strict=True):
        original = batch.labels[row, column]
        mlm.append(-scores[row, column].log_softmax(dim=0)[original])
        drawn = reference.sample_tokens(scores[row, column].tolist(), u)
        corrupted[row, column] = drawn
        is_replaced[row, column] = int(drawn != original)
    logits = discriminator(input_ids=corrupted, **inputs).logits
    keep = batch.attention_mask
    return torch.stack(mlm).mean(), F.binary_cross_entropy_with_logits(logits[keep], is_replaced[keep].double())


def theirs_of(model: ElectraWithGenerator, folder: Path) -> tuple[Any, Any]:
    """Load both networks with transformers, and share their embeddings."""
    model.save_pretrained(folder)
    kinds = transformers.ElectraForPreTraining, transformers.ElectraForMaskedLM
    discriminator, generator = (
        kind.from_pretrained(place, dtype=torch.float64).eval()
        for kind, place in zip(kinds, (folder, folder / GENERATOR_FOLDER), strict=True)
    )
    generator.electra.embeddings = discriminator.electra.embeddings
    generator.generator_lm_head.weight = discriminator.electra.embeddings.word_embeddings.weight
    return discriminator, generator


def test_losses_and_gradients_are_those_of_the_paper(tmp_path: Path) -> None:
    """The algorithm of the paper is written plainly, with two networks of transformers, in double precision."""
    model, batch, objective = make_model(), make_batch(), ElectraObjective()
    discriminator, generator = theirs_of(model, tmp_path)
    expected = paper_loss(discriminator, generator, batch)
    electra_loss(*expected).backward()
    sums, counts = objective.loss_sums(model, batch), objective.target_counts(batch)
    means = {term: sums[term].loss / counts[term] for term in sums}
    torch.testing.assert_close(torch.stack([*means.values()]), torch.stack(expected), rtol=1e-10, atol=1e-10)
    torch.stack([*means.values()]).sum().backward()
    for ours, theirs in ((model.discriminator, discriminator), (model.generator, generator)):
        gradients = {name: parameter.grad for name, parameter in ours.named_parameters()}
        found = type(ours).export_weights(gradients, ours.config)
        for name, parameter in theirs.named_parameters():
            if name in found:
                torch.testing.assert_close(found.pop(name), parameter.grad, rtol=1e-9, atol=1e-10)
        assert not found


def test_the_generator_gets_no_gradient_from_the_discriminator() -> None:
    model, batch = make_model(), make_batch()
    ElectraObjective().loss_sums(model, batch)["replaced"].loss.backward()
    assert all(parameter.grad is None for parameter in model.generator.mlm.parameters())
    assert all(parameter.grad is None for parameter in model.generator.bert.layers.parameters())
    assert model.generator.bert.embeddings.words.weight.grad is not None  # it is shared


@pytest.mark.parametrize("micro_batch_size", [1, 3])
def test_micro_batches_have_the_samples_and_the_gradient_of_the_whole_batch(micro_batch_size: int) -> None:
    """A sample depends on the random number of its token, which belongs to the example."""
    config = PretrainingConfig(family="electra", steps=3, batch_size=7, dropout=0.0, precision="float64", examples=EXAMPLES)
    steps = []
    for size in (micro_batch_size, 7):
        run = pretraining_run(config, DeviceOptions(device="cpu", micro_batch_size=size), corpus(), TOKENIZER)
        steps.append([[*step.losses.values(), step.gradient_norm, *step.accuracies.values()] for step in run.run()])
    np.testing.assert_allclose(steps[0], steps[1], rtol=1e-9)


def test_evaluations_are_repeatable_and_count_original_tokens() -> None:
    """The term `ORIGINAL` has the accuracy of the answer "original", which a network that always gives it has, too."""
    model, batch = make_model(), make_batch()
    torch.nn.init.zeros_(model.discriminator.replaced.output.weight)
    torch.nn.init.constant_(model.discriminator.replaced.output.bias, -9.0)
    scores = [evaluate(model, [batch], ElectraObjective(with_baseline=True)) for _ in range(2)]
    assert scores[0] == scores[1]
    assert scores[0]["replaced"].accuracy == scores[0][ORIGINAL].accuracy
    assert 0.5 < scores[0][ORIGINAL].accuracy < 1
    assert scores[0]["replaced"].count == batch.attention_mask.sum()


def test_masks_are_85_to_15() -> None:
    """Of the selected tokens, 85% are [MASK] and the others do not change; none is random."""
    batch = PretrainingExamples(corpus(400), TOKENIZER, replace(EXAMPLES, mlm_probability=1.0), mask_share=0.85).epoch(0)
    whole = batch.batch(np.arange(len(batch.lengths)))
    selected = whole.labels != IGNORE_INDEX
    is_mask = whole.input_ids[selected] == token_id(TOKENIZER, MASK)
    assert torch.equal(whole.input_ids[selected][~is_mask], whole.labels[selected][~is_mask])
    count = int(selected.sum())
    assert count > 9000
    assert abs(is_mask.double().mean().item() - 0.85) < 5 * (0.85 * 0.15 / count) ** 0.5
    assert whole.uniform_at is not None
    assert whole.uniform_at.shape == whole.predict_at.shape
    assert abs(np.corrcoef(whole.uniform_at, is_mask)[0, 1]) < 0.05  # the samples do not depend on the mask


def test_an_empty_batch_has_no_targets() -> None:
    """A process without examples in a step adds nothing."""
    epoch = PretrainingExamples(corpus(), TOKENIZER, EXAMPLES, mask_share=0.85).epoch(0)
    batch, model = epoch.batch(np.empty(0, dtype=np.int64)), make_model()
    assert {int(count) for count in ElectraObjective().target_counts(batch).values()} == {0}
    sums = ElectraObjective().loss_sums(model, batch)
    assert [each.loss.item() for each in sums.values()] == [0, 0]
    torch.stack([each.loss for each in sums.values()]).sum().backward()
    assert all(parameter.grad is None or not parameter.grad.any() for parameter in model.parameters())
    assert electra_cost(model, [batch]) == (0, 0)


def test_embeddings_are_shared_and_stay_shared(tmp_path: Path) -> None:
    """In a new network, in a loaded one, and in one with other settings. The generator's size is its own."""
    model = ElectraWithGenerator(CONFIG, replace(generator_config(CONFIG), num_hidden_layers=1)).double()
    model.save_pretrained(tmp_path)
    loaded = ElectraWithGenerator.from_pretrained(tmp_path)
    changed = loaded.with_config(hidden_dropout_prob=0.3)
    assert changed.generator.config.hidden_dropout_prob == changed.config.hidden_dropout_prob == 0.3
    for each in (model, loaded, changed):
        assert each.generator.bert.embeddings is each.discriminator.bert.embeddings
        assert each.generator.config.num_hidden_layers == 1
        for (name, one), other in zip(model.named_parameters(), each.parameters(), strict=True):
            assert torch.equal(one, other), name


def test_without_a_generator_a_new_one_is_made(tmp_path: Path) -> None:
    NETWORKS["ElectraForPreTraining"](CONFIG).save_pretrained(tmp_path)
    with pytest.warns(UserWarning, match="has no folder generator, so a new generator is initialized"):
        model = ElectraWithGenerator.from_pretrained(tmp_path)
    assert model.generator.config == generator_config(CONFIG)
    NETWORKS["ElectraForMaskedLM"](replace(generator_config(CONFIG), vocab_size=50)).save_pretrained(
        tmp_path / GENERATOR_FOLDER
    )
    with pytest.raises(ValueError, match="generator: the generator has vocab_size 50, but its discriminator 41"):
        ElectraWithGenerator.from_pretrained(tmp_path)
    with pytest.raises(ValueError, match="labels: this network has no classification head"):
        ElectraWithGenerator.from_pretrained(tmp_path, labels=["a", "b"])


@pytest.mark.parametrize(
    ("width", "expected"), [(256, (64, 1, 256)), (768, (192, 3, 768)), (1024, (256, 4, 1024)), (3, (1, 1, 4))]
)
def test_a_generator_has_a_quarter_of_the_width(width: int, expected: tuple[int, int, int]) -> None:
    """And a head for each 64 features, as in the authors' code."""
    config = generator_config(replace(CONFIG, hidden_size=width, num_attention_heads=1))
    assert (config.hidden_size, config.num_attention_heads, config.intermediate_size) == expected
    assert config.embedding_size == CONFIG.embedding_size


class TestCosts:
    """The products of a training step are three times those of the forward pass, as torch counts them."""

    def test_electra(self) -> None:
        model, batch = make_model(), make_batch(1)
        model.set_attention("explicit")
        with FlopCounterMode(display=False) as counter:
            ElectraObjective().loss_sums(model, batch)
        assert electra_cost(model, [batch]) == (int(batch.attention_mask.sum()), 3 * counter.get_total_flops())

    def test_albert(self) -> None:
        """The embeddings are projected, and the head of masked language modeling is as wide as they are."""
        names = ("vocab_size", "hidden_size", "embedding_size", "num_attention_heads", "intermediate_size")
        config = AlbertConfig(**{name: getattr(CONFIG, name) for name in names}, num_hidden_layers=3)
        model, batch = NETWORKS["AlbertForMaskedLM"](config), make_batch(1)
        model.set_attention("explicit")
        with FlopCounterMode(display=False) as counter:
            model(*batch.inputs, output_at=batch.output_at, predict_at=batch.predict_at)
        assert pretraining_cost(config, [batch])[1] == 3 * counter.get_total_flops()
