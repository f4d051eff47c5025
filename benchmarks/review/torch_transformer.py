"""Odd configurations of the 2017 Transformer, compared with `torch.nn.Transformer`: pre-norm, post-norm and any epsilon.

`torch.nn.Transformer` has no embeddings, so both get vectors. It computes NaN for a query that may attend to nothing, so every
source has a token, and every target begins with one.
"""

from functools import partial
from itertools import product

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from benchmarks.review.comparison import check_all_equal, check_equal, gradients_of
from benchmarks.review.odd_configurations import Draw
from minibert import Transformer, TransformerConfig, record
from minibert.model.positions import Positions

EVERY_ROW_HAS_TOKENS = ("all", "right", "left", "holes")
ATTENTIONS = {
    "encoder": {"self_attn": "attention"},
    "decoder": {"self_attn": "attention", "multihead_attn": "cross_attention"},
}
FEED_FORWARD = {"linear1": "feed_forward.intermediate", "linear2": "feed_forward.output"}
MODULES = {
    "encoder": {"norm1": "attention_norm", "norm2": "feed_forward_norm", **FEED_FORWARD},
    "decoder": {"norm1": "attention_norm", "norm2": "cross_attention_norm", "norm3": "feed_forward_norm", **FEED_FORWARD},
}
"""Modules of PyTorch's layers, and ours."""
ACTIVATIONS = {"relu": F.relu, "gelu": F.gelu, "gelu_new": partial(F.gelu, approximate="tanh"), "silu": F.silu}


def compare_with_torch(seed: int) -> None:
    """Compare the outputs, the output of every layer and all gradients of one configuration. Raises: DifferenceError."""
    draw = Draw(seed)
    ours = random_transformer(draw)
    theirs, table = torch_transformer(ours), weight_table(ours)
    batch, lengths = draw.of(1, 2, 3), (draw.of(1, 1, 2, 5), draw.of(1, 1, 2, 4))
    source, target = (torch.randn(batch, n, ours.config.hidden_size, generator=draw.tensors).double() for n in lengths)
    source_keep, target_keep = (draw.mask(batch, n, EVERY_ROW_HAS_TOKENS) for n in lengths)
    target_keep[:, 0] = True
    masks = {"encoder": source_keep, "decoder": target_keep}

    def our_output() -> Tensor:
        return ours.decoder(target, target_keep, ours.encoder(source, source_keep), source_keep)[target_keep]

    stages = record_layers(theirs)
    length, padding = target.shape[1], ~source_keep
    future = torch.ones(length, length, dtype=torch.bool).triu(1)
    output = theirs(source, target, None, future, None, padding, ~target_keep, padding)
    expected = {"output": output[target_keep]}
    gradients = gradients_of(theirs, expected)
    for path in ("explicit", "fused"):
        ours.set_attention(path)
        outputs = {"output": our_output()}
        check_all_equal(path, outputs, expected)
        own = gradients_of(ours, outputs)
        joined = {name: torch.cat([own[part] for part in parts]) for name, parts in table.items()}
        check_all_equal(f"{path} gradient of", joined, gradients)
    with record(ours) as recording:
        our_output()
    for name, tensor in stages.items():
        keep = masks[name.partition(".")[0]]
        check_equal(f"stage {name}", recording[f"{name}.output"][keep], tensor[keep])


def record_layers(model: nn.Transformer) -> dict[str, Tensor]:
    """Return a dictionary that the forward pass fills with the output of every layer."""
    stages: dict[str, Tensor] = {}
    for name, module in model.named_modules():
        if isinstance(module, nn.TransformerEncoderLayer | nn.TransformerDecoderLayer):
            module.register_forward_hook(lambda *arguments, name=name: stages.update({name: arguments[-1].detach()}))
    return stages


def random_transformer(draw: Draw) -> Transformer:
    """Create a Transformer without position encoding, with random weights."""
    heads = draw.of(1, 1, 2, 3, 5)
    config = TransformerConfig(
        vocab_size=4,
        hidden_size=heads * draw.of(1, 1, 2, 3, 4, 7),
        num_attention_heads=heads,
        intermediate_size=draw.of(1, 3, 8, 17),
        hidden_act=draw.of(*ACTIVATIONS),
        encoder_layers=draw.of(1, 2, 3),
        decoder_layers=draw.of(1, 2, 3),
        layer_norm_eps=draw.of(1e-12, 1e-5, 1.0, 1e5),
        pre_norm=draw.of(True, False),
        positions="alibi",
    )
    model = Transformer(config).double().eval()
    model.encoder.positions = model.decoder.positions = Positions()  # it changes nothing
    std = draw.of(1e-3, 0.4, 0.4, 2.0)
    for parameter in model.parameters():
        parameter.data = std * torch.randn(parameter.shape, generator=draw.tensors).double()
    return model


def torch_transformer(ours: Transformer) -> nn.Transformer:
    """Create the network of PyTorch with the same weights."""
    config = ours.config
    theirs = nn.Transformer(
        config.hidden_size,
        config.num_attention_heads,
        config.encoder_layers,
        config.decoder_layers,
        config.intermediate_size,
        activation=ACTIVATIONS[config.hidden_act],
        layer_norm_eps=config.layer_norm_eps,
        batch_first=True,
        norm_first=config.pre_norm,
        dtype=torch.float64,
    ).eval()
    if not config.pre_norm:  # PyTorch normalizes once more
        theirs.encoder.norm = theirs.decoder.norm = None
    weights = ours.state_dict()
    theirs.load_state_dict({name: torch.cat([weights[part] for part in parts]) for name, parts in weight_table(ours).items()})
    return theirs


def weight_table(model: Transformer) -> dict[str, list[str]]:
    """Return, for each parameter of PyTorch's network, those of ours that are joined in it."""
    table: dict[str, list[str]] = {}
    for side in ("encoder", "decoder"):
        stack = model.get_submodule(side)
        for number, leaf in product(range(len(stack.layers)), ("weight", "bias")):
            layer = f"{side}.layers.{number}"
            for theirs, ours in MODULES[side].items():
                table[f"{layer}.{theirs}.{leaf}"] = [f"{layer}.{ours}.{leaf}"]
            for theirs, ours in ATTENTIONS[side].items():
                parts = [f"{layer}.{ours}.{part}.{leaf}" for part in ("query", "key", "value")]
                table[f"{layer}.{theirs}.in_proj_{leaf}"] = parts
                table[f"{layer}.{theirs}.out_proj.{leaf}"] = [f"{layer}.{ours}.output.{leaf}"]
        if stack.norm is not None:
            table |= {f"{side}.norm.{leaf}": [f"{side}.norm.{leaf}"] for leaf in ("weight", "bias")}
    return table
