"""Short pretraining, for the experiments that need many networks: 1,200 steps of 2,688 tokens.

The networks have two layers, as in the quickstart. They have a masked-LM head and no second segment in their text, unless an
experiment says otherwise.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import cache, partial
from typing import Any, TypeVar

import torch

from benchmarks.ideas.common import LABELS_PER_CLASS, MODELS, accuracy, data, fine_tuned, labeled, train_on_text
from minibert.model import BertConfig, BertForMaskedLM
from minibert.model.pretrained import PretrainedModel
from minibert.study.quickstart import EXAMPLES, PRETRAINING_LEARNING_RATE, mimetic_initialization, quickstart_config
from minibert.text.batching import batches_by_length
from minibert.text.examples import PretrainingBatch, PretrainingExamples
from minibert.text.labeled.text_rows import TextRow
from minibert.text.options import ExampleConfig
from minibert.text.tokenized import TokenizedCorpus
from minibert.text.tokenizer import vocabulary_size
from minibert.training.checkpoints import set_seed
from minibert.training.loop import evaluate
from minibert.training.objective import Objective
from minibert.training.pretraining_objectives import MaskedLMObjective

ModelT = TypeVar("ModelT", bound=PretrainedModel)
STEPS, TOKENS = 1200, 2688
"""Steps of pretraining, and tokens of a batch."""
FULL_SENTENCES = replace(EXAMPLES, pairs="none")
"""Examples without a second segment, with BERT's masks."""
MASKED_LM = MaskedLMObjective()
VALIDATION_BATCHES, EVALUATION_TOKENS = 24, 2048
ONLY = "MLM loss, [MASK] alone"
"""Name of the held-out loss of tokens that are all [MASK]. None can be copied."""


def short_run(
    name: str,
    seed: int,
    new_model: Callable[[], ModelT],
    objective: Objective[Any] = MASKED_LM,
    examples: ExampleConfig = FULL_SENTENCES,
    corpus: TokenizedCorpus | None = None,
    mask_share: float | None = None,
    steps: int = STEPS,
    learning_rate: float = PRETRAINING_LEARNING_RATE,
) -> ModelT:
    """Pretrain a network for `STEPS` steps, or load its weights if that has been done.

    Args:
        name: name of its file, different for different settings.
        corpus: text; by default all training text.
        mask_share: as in `PretrainingExamples`.
    """
    file = MODELS / f"{name}-{seed}.pt"
    file.parent.mkdir(parents=True, exist_ok=True)  # before training: a folder that cannot be made is an error of a second
    set_seed(seed)
    model = new_model()
    if file.is_file():
        model.load_state_dict(torch.load(file, weights_only=True))
        return model
    text = PretrainingExamples(corpus or data().train, data().tokenizer, examples, seed, mask_share)
    train_on_text(model, text, objective, steps, TOKENS, learning_rate)
    torch.save(model.state_dict(), file)
    return model


def short_config() -> BertConfig:
    """Return the config of the networks."""
    return quickstart_config(vocabulary_size(data().tokenizer))


def new_masked_lm(config: BertConfig | None = None) -> BertForMaskedLM:
    """Initialize a network with a masked-LM head, by default of the same size as all others."""
    model = BertForMaskedLM(config or short_config())
    mimetic_initialization(model)
    return model


def initial(seed: int) -> BertForMaskedLM:
    """Return such a network without training."""
    set_seed(seed)
    return new_masked_lm()


@cache
def validation_batches(mask_share: float | None = None) -> list[PretrainingBatch]:
    """Return held-out text with masks, the same for all seeds. `mask_share` is as in `short_run`."""
    epoch = PretrainingExamples(data().validation, data().tokenizer, FULL_SENTENCES, 0, mask_share).epoch(0)
    indices = epoch.batch_indices(partial(batches_by_length, max_tokens=EVALUATION_TOKENS))
    return [epoch.batch(each) for each in indices[:VALIDATION_BATCHES]]


def mlm_loss(model: PretrainedModel, mask_share: float | None = None) -> float:
    """Return the masked-LM loss on held-out text, in nats. By default the masks are BERT's."""
    return float(evaluate(model, validation_batches(mask_share), MASKED_LM)["mlm"].loss or 0)


def tuned_accuracy(name: str, seed: int, model: PretrainedModel, rows: Sequence[TextRow] | None = None) -> float:
    """Fine-tune a network on the task and return its accuracy, or read it from a file if that has been done.

    Args:
        name: name of the file, different for different networks.
        rows: texts other than the test texts.
    """
    file = MODELS / f"{name}-{seed}.{'accuracy' if rows is None else 'other-accuracy'}"
    if not file.is_file():
        tuned = fine_tuned(model, seed, labeled(LABELS_PER_CLASS, seed))
        file.write_text(str(accuracy(tuned, rows)), encoding="utf-8")
    return float(file.read_text(encoding="utf-8"))
