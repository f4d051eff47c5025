"""The names of mistakes that agree with the words of the teacher, and the cases in which the check and the teacher disagree.

A person compared each name with the words. If the check names another mistake, compare again, and then change the table.
"""

from minibert.classroom.report import Report, Verdict
from tests.classroom.students.expected import Answer, Kind
from tests.classroom.students.fourth import expected as fourth
from tests.classroom.students.second import expected as second
from tests.classroom.students.third import expected as third

NAMES: dict[str, tuple[str, ...]] = {
    "scaled_dot_product_attention.answer_01": ("no scale",),
    "scaled_dot_product_attention.answer_02": ("scores multiplied by the root",),
    "scaled_dot_product_attention.answer_03": ("scores divided by the width",),
    "scaled_dot_product_attention.answer_04": ("softmax over the queries",),
    "scaled_dot_product_attention.answer_05": ("mask inverted",),
    "scaled_dot_product_attention.answer_06": ("mask after the softmax",),
    "scaled_dot_product_attention.answer_07": ("scores divided by the root of the keys",),
    "scaled_dot_product_attention.answer_08": ("mask multiplied with the scores",),
    "scaled_dot_product_attention.answer_09": ("no scale", "softmax over the queries"),
    "scaled_dot_product_attention.answer_10": ("mask inverted", "scores divided by the width"),
    "softmax.answer_01": ("softmax over all axes",),
    "softmax.answer_02": ("softmax over the first axis",),
    "softmax.answer_03": ("logarithm of the softmax",),
    "softmax.answer_04": ("powers of two instead of e",),
    "layer_norm.answer_01": ("variance divided by d - 1",),
    "layer_norm.answer_02": ("eps outside the root",),
    "layer_norm.answer_03": ("no bias after the norm",),
    "layer_norm.answer_04": ("normalization over the tokens",),
    "layer_norm.answer_05": ("division by the variance",),
    "layer_norm.answer_06": ("one plus gain",),
    "layer_norm.answer_07": ("mean not subtracted",),
    "layer_norm.answer_08": ("no bias after the norm", "variance divided by d - 1"),
    "layer_norm.answer_09": ("eps outside the root", "variance divided by d - 1"),
    "gelu.answer_01": ("GELU with a sigmoid",),
    "gelu.answer_02": ("GELU without the root of two",),
    "gelu.answer_03": ("GELU without the half",),
    "gelu.answer_04": ("distribution function alone",),
    "gelu.answer_05": ("GELU without the half", "GELU without the root of two"),
    "gelu.answer_06": ("GELU with tanh",),
    "multi_head_attention.answer_01": ("scores divided by the root of the whole width",),
    "multi_head_attention.answer_02": ("heads merged without transposing",),
    "multi_head_attention.answer_03": ("heads split without transposing",),
    "multi_head_attention.answer_04": ("heads merged without transposing", "no scale"),
    "heads.split_01": ("heads split without transposing",),
    "heads.split_02": ("heads from every h-th column",),
    "heads.merge_01": ("heads merged without transposing",),
    "heads.merge_02": ("columns of the heads interleaved",),
    "masks.causal_01": ("causal mask without the diagonal",),
    "masks.causal_02": ("causal mask of the future",),
    "masks.causal_03": ("causal mask of what is masked",),
    "masks.padding_01": ("padding mask one too long",),
    "masks.padding_02": ("padding at the front",),
    "masks.padding_03": ("padding mask inverted",),
    "sinusoidal_positions.answer_01": ("one wavelength for each column",),
    "sinusoidal_positions.answer_02": ("cosine before sine",),
    "sinusoidal_positions.answer_03": ("base of one thousand",),
    "sinusoidal_positions.answer_04": ("positional exponent halved",),
    "sinusoidal_positions.answer_05": ("base of one thousand", "cosine before sine"),
    "sinusoidal_positions.answer_06": ("sines first, then cosines",),
    "positions.rotary_01": ("rotation in the opposite direction",),
    "positions.rotary_02": ("rotation of halves",),
    "positions.alibi_01": ("slopes counted from zero",),
    "positions.alibi_02": ("distance added",),
    "losses.cross_entropy_01": ("sign of the cross-entropy",),
    "losses.cross_entropy_02": ("cross-entropy in bits",),
    "losses.cross_entropy_03": ("softmax before cross-entropy",),
    "losses.cross_entropy_04": ("mean in place of separate losses",),
    "losses.cross_entropy_05": ("ignored labels counted as class 0",),
    "losses.masked_lm_loss_01": ("mean over all tokens",),
    "losses.masked_lm_loss_02": ("sum in place of the masked mean",),
    "losses.masked_lm_loss_03": ("label 0 has no loss",),
    "losses.masked_lm_loss_04": ("sign of the cross-entropy", "sum in place of the masked mean"),
    "losses.masked_lm_loss_05": ("labels shifted to the left",),
    "losses.masked_lm_loss_06": ("mean of the means of each text",),
    "losses.label_smoothing_01": ("smoothing over the wrong classes only",),
    "losses.label_smoothing_02": ("smoothing weights swapped",),
    "optimization.adamw_01": ("weight decay through the gradient",),
    "optimization.adamw_02": ("no bias correction",),
    "optimization.adamw_03": ("eps inside the root",),
    "optimization.adamw_04": ("weight decay without the learning rate",),
    "optimization.adamw_05": ("betas swapped",),
    "optimization.adamw_06": ("no bias correction", "weight decay through the gradient"),
    "optimization.schedule_01": ("last step without effect",),
    "optimization.schedule_02": ("decay from the first step",),
    "optimization.schedule_03": ("first step without effect",),
    "optimization.schedule_04": ("cosine decay one step early",),
    "optimization.schedule_05": ("no decay before the last step",),
    "optimization.schedule_06": ("first step without effect", "negative learning rate"),
    "optimization.noam_01": ("no width in the schedule",),
    "optimization.noam_02": ("maximum instead of minimum",),
    "optimization.clip_01": ("clipping of each tensor separately",),
    "optimization.clip_02": ("sum of the norms",),
    "mask_tokens.answer_01": ("random tokens over the masks",),
    "mask_tokens.answer_02": ("labels at every position",),
    "mask_tokens.answer_03": ("no token left unchanged",),
    "mask_tokens.answer_04": ("special tokens masked",),
    "mask_tokens.answer_05": ("labels after masking",),
    "mask_tokens.answer_06": ("labels at every position", "no token left unchanged"),
    "adapters.lora_01": ("no scale in LoRA",),
    "adapters.lora_02": ("dropout on the frozen path",),
    "adapters.lora_03": ("frozen map scaled",),
    "adapters.lora_04": ("dropout on the frozen path", "no scale in LoRA"),
    "adapters.merged_01": ("merged without the scale",),
    "adapters.feed_forward_01": ("no activation",),
    "adapters.feed_forward_02": ("first bias after the activation",),
    "adapters.feed_forward_03": ("activation after the second map",),
    "layers.encoder_01": ("no residual around self-attention",),
    "layers.encoder_02": ("second residual from the input",),
    "layers.encoder_03": ("one normalization for both sublayers",),
    "layers.encoder_04": ("mask ignored in the layer",),
    "layers.encoder_05": ("pre-norm layer",),
    "layers.encoder_06": ("mask ignored in the layer", "one normalization for both sublayers"),
    "layers.embeddings_01": ("no segment embeddings",),
    "layers.embeddings_02": ("positions ignored",),
    "layers.embeddings_03": ("words scaled by the root of the width",),
    "layers.embeddings_04": ("embeddings not normalized", "no segment embeddings"),
    "layers.embeddings_07": ("words normalized before the sum",),
    "training_steps.answer_01": ("gradients not reset", "training in evaluation mode"),
    "training_steps.answer_02": ("gradients not clipped", "training in evaluation mode"),
    "training_steps.answer_03": ("schedule before the optimizer", "training in evaluation mode"),
    "training_steps.answer_04": ("gradients clipped by value", "training in evaluation mode"),
    "training_steps.answer_05": ("schedule forgotten", "training in evaluation mode"),
    "training_steps.answer_06": ("gradients not clipped", "gradients not reset", "training in evaluation mode"),
    "training_steps.answer_07": ("training in evaluation mode",),
    "training_steps.answer_08": ("training in evaluation mode",),
    "training_steps.answer_09": ("gradients not reset",),
    "training_steps.answer_10": ("gradients not clipped",),
    "training_steps.answer_11": ("schedule before the optimizer",),
    "training_steps.answer_12": ("gradients clipped by value",),
    "training_steps.answer_13": ("schedule forgotten",),
    "training_steps.answer_14": ("gradients not clipped", "gradients not reset"),
    "generation.greedy_01": ("prompt in the output",),
    "generation.greedy_02": ("finished texts continued",),
    "generation.greedy_03": ("stop with the first finished text",),
    "generation.greedy_04": ("finished texts continued", "prompt in the output"),
    "generation.top_k_01": ("zero for removed tokens",),
    "generation.top_k_02": ("top-k with one token too few",),
    "generation.top_p_01": ("nucleus without its last token",),
    "generation.top_p_02": ("probabilities below one minus p removed",),
    "generation.shift_01": ("target not padded",),
    "generation.shift_02": ("target shifted to the left",),
}

SENTENCES: dict[str, str] = {
    "heads.merge_05": "Your result has the right parts in another order along axis 2.",
}
"""Beginnings of a relation, or of a reason, that say the same as the teacher, where no mistake has a name."""

DISAGREEMENTS: dict[str, tuple[str, str]] = {}
"""Known disagreements: what the check says, and what it should say. The list may only shrink."""
NAMES |= second.NAMES | third.NAMES | fourth.NAMES
SENTENCES |= third.SENTENCES | fourth.SENTENCES
DISAGREEMENTS |= second.DISAGREEMENTS


def verdict_agrees(answer: Answer, report: Report) -> bool:
    """Return True if the check and the teacher agree on whether an answer is right."""
    match answer.kind:
        case Kind.RIGHT:
            return report.verdict is Verdict.PASSED and not report.warnings
        case Kind.UNSAFE:
            return report.verdict in (Verdict.PASSED, Verdict.WARNING)
        case Kind.CONVENTION:
            return report.verdict is Verdict.CONVENTION
        case Kind.WRONG:
            return report.verdict in (Verdict.WRONG, Verdict.ERROR)


def name_agrees(answer: Answer, report: Report) -> bool:
    """Return True if the named mistakes, or the sentence without a name, agree with the words of the teacher."""
    named = tuple(sorted(mistake.name for mistake in report.mistakes))
    if named:
        return NAMES.get(answer.name) == named
    sentence = SENTENCES.get(answer.name, "")
    return bool(sentence) and (report.relation or report.reason).startswith(sentence)


def agrees(answer: Answer, report: Report) -> bool:
    """Return True if the check says what the teacher says."""
    return verdict_agrees(answer, report) and (not answer.mistakes or name_agrees(answer, report))
