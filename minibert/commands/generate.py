"""`minibert generate`: continue a text with a GPT-2, or compute the target of a text with a T5."""

from dataclasses import asdict, dataclass
from typing import Annotated, Literal

from tyro.conf import Positional, arg

from minibert.commands.errors import UsageError, check_text
from minibert.commands.terminal import report, say, say_json, say_part
from minibert.text.options import InvalidOption


@dataclass(frozen=True)
class Generate:
    """Continue a text with a GPT-2, and print every character as soon as it is generated. A T5 computes the target of a text.

    Without further options, each token is the most likely one (greedy search). --temperature, --top-k, --top-p and --seed draw
    the tokens by chance; --beams searches for a likely continuation, and prints it at the end.
    """

    checkpoint: Positional[str]
    """A folder with a checkpoint and its tokenizer, or the id of a model on the Hugging Face hub, such as gpt2."""
    text: Annotated[Positional[str | None], arg(metavar="[TEXT]")] = None
    """Beginning of the text; for a T5, the source. Default: the model begins a new text."""
    max_new_tokens: int | None = None
    """Maximum number of new tokens. Default: 100, or fewer if the model has no more positions."""
    temperature: float | None = None
    """Divisor of the logits: below 1, likely tokens become more likely; 0 is greedy search. Default: 1 with --top-k, --top-p or
    --seed, otherwise 0."""
    top_k: int | None = None
    """Draw from the N most likely tokens. Default: from all."""
    top_p: float | None = None
    """Draw from the most likely tokens that together have this probability. Default: from all."""
    beams: int = 1
    """Number of hypotheses of beam search; 1 for none."""
    seed: int | None = None
    """Seed of the draws. Default: another one each time."""
    device: Literal["auto", "cpu", "cuda"] = "auto"
    """auto: CUDA if it is available, else the CPU."""
    json: bool = False
    """Print JSON at the end: text, continuation, ids, log-probability, and whether the end token was reached."""

    def __post_init__(self) -> None:
        draws = {"top_k": self.top_k, "top_p": self.top_p, "seed": self.seed}
        given = [name for name, value in draws.items() if value is not None]
        if self.beams != 1 and (given or self.temperature):
            name = given[0] if given else "temperature"
            raise InvalidOption(f"beams and {name}: beam search draws no tokens by chance; give only one of them")
        if self.temperature == 0 and given:
            raise InvalidOption(f"temperature 0 and {given[0]}: at 0, no token is drawn by chance; give a temperature above 0")


def run(options: Generate) -> int:
    """Print the text and its continuation."""
    text = options.text or ""
    check_text(text)
    from minibert.study.text_generation import generate_text, load_generator, unknown_characters
    from minibert.training.distributed import choose_device

    draws = any(value is not None for value in (options.top_k, options.top_p, options.seed))
    try:
        device = choose_device(options.device)
        model, tokenizer = load_generator(options.checkpoint)
        if unknown := unknown_characters(tokenizer, text):
            report(f"note: {unknown} characters of the text are not in the vocabulary; the model sees a sign for unknown text")
        found = generate_text(
            model.to(device),
            tokenizer,
            text,
            options.max_new_tokens,
            (lambda text: None) if options.json else say_part,
            temperature=float(draws) if options.temperature is None else options.temperature,
            top_k=options.top_k,
            top_p=options.top_p,
            seed=options.seed,
            beams=options.beams,
        )
    except (ValueError, FileNotFoundError) as error:
        raise UsageError(error) from error
    if options.json:
        say_json(asdict(found))
    else:
        say("")
        if not found.has_end:
            report(f"note: no end token in {len(found.ids)} new tokens, the maximum; --max-new-tokens sets another one")
    return 0
