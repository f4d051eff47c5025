"""More mistakes in the schedule with warm-up and linear decay: how steps are counted, and other decays."""

from minibert.classroom.mistakes.mistake import Kind, Mistake
from minibert.equations import warmup_linear_schedule

SMALLER = "min(warmup, decay)"
WARMUP = "step / max(1, warmup_steps)"
DECAY = "(total_steps - step + 1) / max(1, total_steps - warmup_steps)"
COSINE = "__import__('math').cos(__import__('math').pi * {})"

SCHEDULE_MISTAKES = [
    Mistake(
        "first step always without effect",
        warmup_linear_schedule,
        ((WARMUP, "(step - 1) / max(1, warmup_steps)"),),
        "The first step has the factor 0, also without a warm-up.",
        "The first batch changes no weight.",
        "code that counts from 0",
        Kind.CONVENTION,
        message="You counted the steps of the warm-up from 0, so the first step has the factor 0.",
    ),
    Mistake(
        "warm-up one step too long",
        warmup_linear_schedule,
        ((WARMUP, "step / (warmup_steps + 1)"),),
        "The warm-up ends one step late.",
        "Its last step does not have the full learning rate.",
        "learners, off by one",
        message="You divided by one more than the number of steps of the warm-up.",
    ),
    Mistake(
        "decay from the last step of the warm-up",
        warmup_linear_schedule,
        ((DECAY, "(total_steps - step + 1) / max(1, total_steps - warmup_steps + 1)"),),
        "The decay begins one step early and takes one step more.",
        "Only the last step of the warm-up has the full learning rate.",
        "learners, off by one",
        message="You divided the decay by one step too many, so that it begins with the last step of the warm-up.",
    ),
    Mistake(
        "decay counted from the wrong end",
        warmup_linear_schedule,
        ((DECAY, "(step - warmup_steps) / max(1, total_steps - warmup_steps)"),),
        "The factor after the warm-up is the part of the decay that is over.",
        "The learning rate falls to zero after the warm-up and then rises.",
        "learners, who forget 1 minus",
        message="You used the part of the decay that is over. The factor is the part that is left.",
    ),
    Mistake(
        "no decay before the last step",
        warmup_linear_schedule,
        ((SMALLER, "min(1.0, warmup) if step <= total_steps else 0.0"),),
        "After the warm-up the factor stays at 1 until the last step.",
        "The last steps are too large, which costs a few tenths of a nat.",
        "learners",
        message="You left out the decay.",
    ),
    Mistake(
        "cosine decay to zero",
        warmup_linear_schedule,
        ((SMALLER, f"(warmup if step <= warmup_steps else (1 - {COSINE.format('max(0.0, decay)')}) / 2)"),),
        "The decay is half a cosine, and 0 after the last step.",
        "The factor is a little larger at first and smaller at the end.",
        "GPT-2 and later language models",
        Kind.CONVENTION,
        message="You used a cosine decay in place of the linear one.",
    ),
    Mistake(
        "cosine decay one step early",
        warmup_linear_schedule,
        (
            (DECAY, "(total_steps - step) / max(1, total_steps - warmup_steps)"),
            (SMALLER, f"(warmup if step <= warmup_steps else (1 - {COSINE.format('max(0.0, decay)')}) / 2)"),
        ),
        "The decay is half a cosine, with the factor 0 in the last step.",
        "The factor is another one after the warm-up, and the last batch changes no weight.",
        "learners who count the decay from the end of the warm-up",
        message="You used a cosine decay in place of the linear one. It is one step early too: the last step has the factor 0.",
    ),
    Mistake(
        "cosine decay over all steps",
        warmup_linear_schedule,
        ((SMALLER, f"min(1.0, warmup) * (1 + {COSINE.format('min(1.0, step / total_steps)')}) / 2"),),
        "The warm-up is multiplied by half a cosine over all steps.",
        "The factor never reaches 1.",
        "learners",
        message="You multiplied the warm-up by a cosine decay over all steps.",
    ),
    Mistake(
        "decay with the root of the step",
        warmup_linear_schedule,
        ((SMALLER, "min(warmup, (max(1, warmup_steps) / max(1, step)) ** 0.5)"),),
        "After the warm-up the factor falls with the inverse root of the step.",
        "It never reaches 0.",
        "Vaswani et al. 2017, T5",
        Kind.CONVENTION,
        message="You used the decay of the 2017 Transformer, the inverse root of the step, in place of the linear one.",
    ),
]
