"""`minibert bench`: how fast attention is on this machine, and which way `attention="auto"` picks."""

from contextlib import nullcontext
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Annotated, Literal

from tyro.conf import arg

from minibert.commands.errors import UsageError
from minibert.commands.progress import progress
from minibert.commands.terminal import say, say_json, say_table

if TYPE_CHECKING:
    from rich.table import Table

    from minibert.study.attention_speed import AttentionTimes


@dataclass(frozen=True)
class Bench:
    """Time the ways to compute attention on this machine, and say which one "auto" picks, and why.

    It takes about a minute. The ways are timed in turn; the numbers are medians.
    """

    tokens: Annotated[int, arg(metavar="N")] = 4096
    """Tokens of a batch: 128 sequences of length 32, or 8 of length 512."""
    rounds: Annotated[int, arg(metavar="N")] = 5
    """Number of times that each way is timed."""
    json: bool = False
    """Print JSON."""
    device: Literal["auto", "cpu", "cuda"] = "auto"
    """auto: CUDA if it is available, else the CPU."""


def run(options: Bench) -> int:
    """Measure, and print a table."""
    for name, value in (("tokens", options.tokens), ("rounds", options.rounds)):
        if value < 1:
            raise UsageError(f"--{name} {value}: must be at least 1")
    import torch

    from minibert.study.attention_speed import DTYPES, LENGTHS, USES, measure_attention
    from minibert.timing import matrix_product_peak
    from minibert.training.distributed import choose_device

    try:
        device = torch.device(choose_device(options.device))
    except ValueError as error:
        raise UsageError(error) from error
    times = []
    with nullcontext(None) if options.json else progress("Measuring", len(DTYPES) * len(USES) * len(LENGTHS)) as advance:
        for each in measure_attention(device, options.tokens, options.rounds):
            times.append(each)
            if advance is not None:
                advance()
    peaks = {name: matrix_product_peak(dtype, device) / 1e9 for name, dtype in DTYPES.items()}
    name = torch.cuda.get_device_name() if device.type == "cuda" else f"CPU, {torch.get_num_threads()} threads"
    if options.json:
        rows = [asdict(each) | {"fastest": each.fastest, "loss": each.loss} for each in times]
        say_json({"device": name, "torch": torch.__version__, "matrix products, GFLOP/s": peaks, "attention": rows})
        return 0
    products = " and ".join(f"{peak:,.0f} GFLOP/s in {dtype}" for dtype, peak in peaks.items())
    say(f"This machine: {name}, torch {torch.__version__}. Matrix products: {products}.")
    say(f"Attention of {options.tokens:,} tokens, milliseconds:")
    say_table(_table(times))
    say(*_summary(times))
    return 0


def _table(times: "list[AttentionTimes]") -> "Table":
    from rich.box import SIMPLE_HEAD
    from rich.table import Table

    table = Table(box=SIMPLE_HEAD)
    table.add_column("type")
    table.add_column("use", no_wrap=True)
    for name in ("length", *times[0].seconds):
        table.add_column(name, justify="right")
    table.add_column("auto picks")
    for each in times:
        milliseconds = [f"{1000 * seconds:.2f}" for seconds in each.seconds.values()]
        table.add_row(each.dtype, each.use, str(each.length), *milliseconds, each.chosen)
    return table


def _summary(times: "list[AttentionTimes]") -> list[str]:
    best = sum(each.chosen == each.fastest for each in times)
    worst = max(times, key=lambda each: each.loss)
    lines = [f'"auto" picks the fastest way in {best} of {len(times)} cases.']
    if worst.loss > 1:
        lines.append(
            f"The worst choice takes {worst.loss:.2f} times as long as {worst.fastest} "
            f"({worst.dtype}, {worst.use}, length {worst.length})."
        )
    return [*lines, "Why:", *(f"  {reason}" for reason in dict.fromkeys(each.reason for each in times))]
