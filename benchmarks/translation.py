"""Train a translator and the same model built from torch.nn.Transformer. Writes translation.json and docs/translation.png.

python -m benchmarks.translation --text train.de train.en --validation val.de val.en --test test.de test.en
    [--preset tiny] [--steps 4000] [--batch-tokens 4096] [--vocab-size 6000] [--folder runs/translation] [--out FILE]

The models are in --folder. With other options than these, the result and its figure are written to --out only.

Both have the same initial weights, batches and optimizer. Their steps are timed in turn. For decoding, the weights of torch's
model are copied to minibert's; tests show that both models are equal to 1e-10.
"""

import argparse
import json
import os
import statistics
import time
from pathlib import Path

import torch
from torch import Tensor, nn

from benchmarks.output import figure_path, result_path, write_result
from minibert.equations import sinusoidal_positions
from minibert.model import Transformer, TransformerConfig
from minibert.model.attention import MultiHeadAttention
from minibert.model.encoder_decoder import Seq2SeqLMOutput
from minibert.model.layers import DecoderLayer, EncoderLayer
from minibert.study import figures
from minibert.study.drawing import figure, save
from minibert.text.options import ParallelTextOptions, VocabularyOptions
from minibert.text.parallel import ParallelBatch, read_parallel
from minibert.text.prefetch import prefetch
from minibert.text.tokenizer import save_tokenizer
from minibert.training.decoding import bleu, round_trip, translate
from minibert.training.distributed import SINGLE_PROCESS
from minibert.training.loop import evaluate, train
from minibert.training.objective import LossSum, count_correct
from minibert.training.optimizer import adamw, noam
from minibert.training.options import DeviceOptions, TranslationConfig
from minibert.training.translation import TranslationObjective, prepare_translation


class LogitsObjective(TranslationObjective):
    """The same loss from the scores of torch's model, with PyTorch's cross-entropy."""

    def loss_sums(self, model: nn.Module, batch: ParallelBatch) -> dict[str, LossSum]:
        logits = model(batch.input_ids, batch.attention_mask, batch.decoder_input_ids).logits
        loss = nn.functional.cross_entropy(
            logits.flatten(0, 1), batch.labels.flatten(), label_smoothing=self.label_smoothing, reduction="sum"
        )
        return {"target": LossSum(loss, count_correct(logits, batch.labels))}


class TorchTransformer(nn.Module):
    """The same model built from torch.nn modules, with dropout as in the paper."""

    def __init__(self, config: TransformerConfig) -> None:
        super().__init__()
        self.config = config
        self.words = nn.Embedding(config.vocab_size, config.hidden_size)
        self.dropout = nn.Dropout(config.hidden_dropout_prob)
        self.transformer = nn.Transformer(
            config.hidden_size,
            config.num_attention_heads,
            config.encoder_layers,
            config.decoder_layers,
            config.intermediate_size,
            config.hidden_dropout_prob,
            config.hidden_act,
            layer_norm_eps=config.layer_norm_eps,
            batch_first=True,
        )
        self.transformer.encoder.norm = self.transformer.decoder.norm = None
        self.transformer.encoder.enable_nested_tensor = False
        for layer in (*self.transformer.encoder.layers, *self.transformer.decoder.layers):
            layer.dropout = nn.Identity()  # torch also applies dropout inside the feed-forward network and to attention weights
            for attention in (layer.self_attn, getattr(layer, "multihead_attn", None)):
                if attention is not None:
                    attention.dropout = 0.0

    def forward(self, input_ids: Tensor, attention_mask: Tensor, decoder_input_ids: Tensor) -> Seq2SeqLMOutput:
        """Compute the logits, with the arguments of minibert's Transformer."""
        causal = ~torch.ones(*decoder_input_ids.shape[1:] * 2, dtype=torch.bool).tril()
        hidden = self.transformer(
            self._embedded(input_ids),
            self._embedded(decoder_input_ids),
            tgt_mask=causal,
            src_key_padding_mask=~attention_mask,
            memory_key_padding_mask=~attention_mask,
            tgt_is_causal=True,
        )
        return Seq2SeqLMOutput(nn.functional.linear(hidden, self.words.weight), hidden)

    def _embedded(self, ids: Tensor) -> Tensor:
        places = torch.arange(ids.shape[1], dtype=self.words.weight.dtype)
        positions = sinusoidal_positions(places, self.config.hidden_size)
        embedded: Tensor = self.dropout(self.words(ids) * self.config.hidden_size**0.5 + positions)
        return embedded


def counterparts(ours: Transformer, theirs: TorchTransformer) -> list[tuple[Tensor, Tensor]]:
    """Pair our parameters with the corresponding parts of theirs."""
    pairs = [(ours.words.weight, theirs.words.weight)]
    stacks = ((ours.encoder, theirs.transformer.encoder), (ours.decoder, theirs.transformer.decoder))
    for mine, other in stacks:
        for layer, their_layer in zip(mine.layers, other.layers, strict=True):
            pairs += _layer(layer, their_layer)
    return pairs


def _layer(ours: EncoderLayer, theirs: nn.Module) -> list[tuple[Tensor, Tensor]]:
    pairs = _attention(ours.attention, theirs.self_attn)
    modules = [
        (ours.attention_norm, theirs.norm1),
        (ours.feed_forward.intermediate, theirs.linear1),
        (ours.feed_forward.output, theirs.linear2),
    ]
    if isinstance(ours, DecoderLayer):
        pairs += _attention(ours.cross_attention, theirs.multihead_attn)
        modules += [(ours.cross_attention_norm, theirs.norm2), (ours.feed_forward_norm, theirs.norm3)]
    else:
        modules.append((ours.feed_forward_norm, theirs.norm2))
    return pairs + [(getattr(one, leaf), getattr(other, leaf)) for one, other in modules for leaf in ("weight", "bias")]


def _attention(ours: MultiHeadAttention, theirs: nn.MultiheadAttention) -> list[tuple[Tensor, Tensor]]:
    projections = (ours.query, ours.key, ours.value)
    weights = zip((part.weight for part in projections), theirs.in_proj_weight.chunk(3), strict=True)
    biases = zip((part.bias for part in projections), theirs.in_proj_bias.chunk(3), strict=True)
    return [*weights, *biases, (ours.output.weight, theirs.out_proj.weight), (ours.output.bias, theirs.out_proj.bias)]


def main() -> None:
    """Train both models in turn, and compare them."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in ("text", "validation", "test"):
        parser.add_argument(f"--{name}", type=Path, nargs="+", required=True)
    parser.add_argument("--preset", default="tiny")
    parser.add_argument("--steps", type=int, default=4000)
    parser.add_argument("--batch-tokens", type=int, default=4096)
    parser.add_argument("--vocab-size", type=int, default=6000)
    parser.add_argument("--warmup-steps", type=int, default=800)
    parser.add_argument("--evaluate-every", type=int, default=500)
    parser.add_argument("--folder", type=Path, default=Path("runs/translation"))
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    inputs = ("text", "validation", "test", "folder")
    path = result_path(parser, options, Path(__file__).with_suffix(".json"), inputs)
    config = TranslationConfig(
        preset=options.preset, steps=options.steps, batch_tokens=options.batch_tokens, warmup_steps=options.warmup_steps
    )
    source = ParallelTextOptions(text=tuple(options.text), validation=tuple(options.validation))
    options.folder.mkdir(parents=True, exist_ok=True)
    task = prepare_translation(source, VocabularyOptions(vocab_size=options.vocab_size, cased=True), config, options.folder)
    print(task.summary, flush=True)
    validation, test = task.validation_text, read_parallel(options.test)
    run, same_run = (task.make_run(DeviceOptions(device="cpu"), SINGLE_PROCESS) for _ in range(2))
    model_config = run.model.config
    theirs, decoded = TorchTransformer(model_config), Transformer(model_config).eval()
    with torch.no_grad():
        for mine, other in counterparts(run.model, theirs):
            other.copy_(mine)
    optimizer = adamw(theirs, config.learning_rate_factor, 0.0, (0.9, 0.98), eps=1e-9)
    their_steps = train(
        theirs,
        (micro_batches for _, micro_batches in prefetch(same_run.batches())),
        LogitsObjective(config.label_smoothing),
        optimizer,
        noam(optimizer, model_config.hidden_size, config.warmup_steps),
        config.max_grad_norm,
    )
    seconds: dict[str, list[float]] = {"minibert": [], "torch.nn.Transformer": []}
    curves: dict[str, list[tuple[int, float, float]]] = {name: [] for name in seconds}
    models = {"minibert": run.model, "torch.nn.Transformer": theirs}
    steps = {"minibert": run.run(), "torch.nn.Transformer": their_steps}
    for number in range(1, config.steps + 1):
        for name in list(models)[:: 1 if number % 2 else -1]:  # each goes first in every second step
            began = time.perf_counter()
            next(steps[name])
            seconds[name].append(time.perf_counter() - began)
        if number % options.evaluate_every == 0 or number == config.steps:
            for name, model in models.items():
                objective = TranslationObjective(0.0) if name == "minibert" else LogitsObjective(0.0)
                loss = evaluate(model, task.validation, objective)["target"].loss
                _fill(decoded, run.model, theirs, name)
                outputs = translate(decoded, task.tokenizer, validation.sources, beams=1, spacing=task.spacing)
                score = bleu(outputs, validation.targets)
                curves[name].append((number, loss, score or 0.0))
                shown = f"BLEU {score:.2f} of at most {task.bleu_ceiling:.2f} (greedy, validation)"
                print(f"{name}, step {number}: {loss:.3f} nats, {shown}", flush=True)
    written: dict[str, dict[str, list[str]]] = {f"beam {beams}": {} for beams in (1, 4)}
    for name in models:
        _fill(decoded, run.model, theirs, name)
        decoded.save_pretrained(options.folder / name)
        save_tokenizer(task.tokenizer, options.folder / name)
        for beams in (1, 4):
            written[f"beam {beams}"][name] = translate(decoded, task.tokenizer, test.sources, beams, spacing=task.spacing)
    ratios = [one / other for one, other in zip(*seconds.values(), strict=True)]
    report = {
        "settings": {
            **task.settings,
            "model": {name: getattr(model_config, name) for name in SIZES},
            "threads": torch.get_num_threads(),
        },
        "curves": {
            name: [dict(zip(("step", "loss", "BLEU"), point, strict=True)) for point in curve] for name, curve in curves.items()
        },
        "BLEU ceiling": {
            "validation": task.bleu_ceiling,
            "test": bleu(round_trip(test.targets, task.tokenizer, task.spacing), test.targets),
        },
        "test BLEU": {search: compared(found, test.targets) for search, found in written.items()},
        "seconds per step": {name: _spread(values) for name, values in seconds.items()},
        "seconds of minibert over those of torch, step by step": _spread(ratios),
    }
    write_result(path, report)
    drawings = [
        figures.line_chart(
            {name: [(step, value[place]) for step, *value in curve] for name, curve in curves.items()}, "step", *titles
        )
        for place, titles in enumerate((("Validation loss", "nats per token"), ("Validation, greedy", "BLEU")))
    ]
    if path is not None:
        save(figure(*drawings), figure_path(path))
    print(json.dumps({name: found for name, found in report.items() if name not in ("settings", "curves")}, indent=1))


SIZES = ("hidden_size", "num_attention_heads", "intermediate_size", "encoder_layers", "decoder_layers", "vocab_size")


def compared(written: dict[str, list[str]], targets: list[str]) -> dict[str, dict[str, float | None]]:
    """Compute BLEU, its 95% interval, and the p-value of the difference from the first: paired bootstrap (Koehn 2004)."""
    from sacrebleu.metrics import BLEU
    from sacrebleu.significance import PairedTest

    os.environ["SACREBLEU_SEED"] = "0"
    _, scores = PairedTest(list(written.items()), {"BLEU": BLEU()}, [targets], test_type="bs", n_samples=1000)()
    names = "BLEU", "half of the 95% interval", "p-value of the difference"
    return {
        name: dict(zip(names, (round(found.score, 2), round(found.ci, 2), found.p_value), strict=True))
        for name, found in zip(written, scores["BLEU"], strict=True)
    }


def _fill(decoded: Transformer, ours: Transformer, theirs: TorchTransformer, name: str) -> None:
    """Copy the weights of one of the two models to the model used for decoding."""
    if name == "minibert":
        decoded.load_state_dict(ours.state_dict())
        return
    with torch.no_grad():
        for mine, other in counterparts(decoded, theirs):
            mine.copy_(other)


def _spread(values: list[float]) -> dict[str, float]:
    low, median, high = statistics.quantiles(values, n=4)
    return {"median": round(median, 4), "lower quartile": round(low, 4), "upper quartile": round(high, 4)}


if __name__ == "__main__":
    main()
