# ruff: noqa: E501
"""The words of a teacher about each answer of the fourth set, and the names that agree with it: see `students/expected.py`."""

WRONG: dict[str, dict[int, str]] = {
    "adamw_step": {
        1: "eps must be added to the root, not inside it.",
        2: "The bias correction of the second moment is missing.",
    },
    "alibi_bias": {
        1: "The sign is wrong: the bias must lower the score with the distance (−m·|i−j|).",
        2: "The heads are counted from 1, so the first slope is 2^(−8/H), not 1.",
        3: "The absolute value is missing: keys after the query get a positive bias.",
    },
    "binary_cross_entropy": {
        1: "The two arguments are exchanged: the first is the logits, the second the targets.",
        2: "You return the mean over the batch; one loss for each prediction was asked.",
    },
    "causal_mask": {
        1: "The triangle is upside down: this lets each token see the later tokens, not the earlier ones.",
        2: "The mask must be Boolean; you return floats.",
    },
    "clip_by_global_norm": {
        1: "You clip each gradient by its own norm; all must be scaled by one factor from the joint norm.",
        2: "mul_ changes the gradients that were passed in; return new tensors.",
    },
    "cross_entropy": {
        1: "The softmax is applied twice: F.cross_entropy takes logits, not probabilities.",
        2: "You return the mean; one loss for each prediction was asked (reduction='none').",
    },
    "encoder_layer": {
        2: "The second residual connection must add the normalized output of the attention, not the input of the layer.",
        3: "You use attention_norm twice; the second normalization has its own weights, feed_forward_norm.",
    },
    "feed_forward": {
        1: "You always use ReLU, and ignore the argument activation.",
        2: "The second bias is missing.",
    },
    "gelu_tanh": {
        1: "The root must be of 2/π, you take 2π.",
        2: "The constant is 0.044715, you wrote 0.44715.",
    },
    "greedy_decoding": {
        2: "You do not give the new tokens to the model: it always sees only the prompt.",
        3: "You stop as soon as one text has the end token (any); you must wait for all.",
    },
    "label_smoothing_loss": {
        2: "The second term must be the mean over the classes: you forgot to divide by K.",
        3: "You ignore the argument label_smoothing and always take 0.1.",
    },
    "layer_norm": {
        1: "The variance must divide by d, not d − 1 (torch.var needs unbiased=False).",
        2: "eps belongs inside the root, next to the variance.",
        3: "You divide by the variance; the root is missing.",
        4: "You do not pass eps, so PyTorch's default of 1e-5 is used.",
        5: "The mean and variance must be taken per token (last axis), not over axis 0.",
        6: "-= changes the input tensor; work on a copy.",
    },
    "lora": {
        1: "The factor s is missing.",
        2: "The dropout belongs to the input of the update only; the frozen map must get x itself.",
    },
    "masked_lm_loss": {
        1: "You average over all positions; only the masked ones (label not IGNORE_INDEX) count.",
        2: "You return the sum; the mean over the masked positions was asked.",
    },
    "merge_heads": {
        1: "view does not work after a transpose (the memory is not contiguous): use reshape or contiguous().",
    },
    "multi_head_attention": {
        1: "The scores must be divided by the root of the width of one head, not of all heads together.",
        2: "The output projection W^O is missing.",
        3: "Before you concatenate the heads you must transpose back, so that the tokens come before the heads.",
    },
    "multi_head_attention_layer": {
        1: "The values must be projected with self.value; you use self.key for both.",
        2: "Keys and values must be computed from keys_from; you compute them from queries_from (self-attention only).",
        3: "keys_from may be a tuple of keys and values that are already projected; you do not treat this case.",
    },
    "online_softmax_attention": {
        1: "When the maximum grows, the old sum of outputs o must be rescaled with e^(m−m′) too, not only ℓ.",
        2: "The last, incomplete block is left out when block_size does not divide the number of keys.",
    },
    "rotary_positions": {
        3: "The angles must be repeated next to each other (repeat_interleave), since adjacent columns form a pair; cat puts them one half after the other.",
    },
    "scaled_dot_product_attention": {
        1: "d_k is the width of the key vectors, not the number of keys: use size(-1).",
        2: "The mask is applied after the softmax, so that the weights of a row no longer sum to one; mask the scores before it.",
        4: "The mask is inverted: masked_fill must fill where keep is False.",
        5: "The softmax must run over the keys (the last axis), not over the queries.",
    },
    "shift_right": {
        1: "The −100 of the labels must be replaced by the padding id: −100 is not a token.",
        2: "You change the labels themselves; make a copy first.",
    },
    "sinusoidal_positions": {
        2: "The exponent is 2i/d; you have i/d, because arange without step 2 counts the pairs.",
        3: "The base is 10000, not 1000.",
    },
    "softmax": {
        1: "The softmax must run over the last axis (the choices), not over axis 0.",
        3: "You divide by the sum over the whole tensor; each row must sum to one by itself.",
    },
    "split_word": {
        1: 'Only the rest of the word gets ##, and you forgot it: pieces after the first must be looked up as "##" + piece.',
        2: "When a part of the word cannot be split, the whole word becomes [UNK]; you keep the pieces found before.",
        4: "This takes the shortest piece first; WordPiece takes the longest match.",
    },
    "top_k_filter": {
        1: "The k-th most likely token must be kept too: use < for what is removed (>= for what is kept).",
        2: "The removed logits must be minus infinity; with 0 they still have probability.",
    },
    "top_p_filter": {
        1: "The token that makes the sum reach p must be kept as well; shift the cumulative sum by one.",
        2: "The mask is in the sorted order; it must be brought back to the order of the vocabulary (scatter).",
    },
    "training_steps": {
        1: "You forgot optimizer.zero_grad(): the gradients of all batches add up. The model is not in training mode.",
        2: "The list is never returned.",
        3: "The model is not in training mode.",
    },
    "unigram_entropy": {
        1: "The denominator must contain the added ones too: the sum of (c(v) + 1) over the whole vocabulary.",
    },
    "warmup_linear_schedule": {
        1: "Off by one in the decay: it is (T − t + 1)/(T − w), so that the factor is not yet 0 in the last step.",
        2: "With warmup_steps = 0 you divide by zero; this special case is missing.",
    },
}

CONVENTIONS: dict[str, dict[int, str]] = {
    "adamw_step": {
        3: "The weight decay must be multiplied by the learning rate as well.",
    },
    "encoder_layer": {
        1: "This is pre-norm; the paper normalizes after the residual connection (post-norm).",
    },
    "gelu_tanh": {
        3: "This is the exact GELU; the tanh approximation was asked (approximate='tanh').",
    },
    "greedy_decoding": {
        1: "You return the prompt too; only the new tokens were asked.",
    },
    "label_smoothing_loss": {
        1: "ε is shared by all K classes, you share it among the K − 1 wrong ones only (as tensor2tensor).",
    },
    "merge_heads": {
        2: "The order is wrong: the heads must be concatenated one after another, here the columns of the heads are interleaved.",
    },
    "padding_mask": {
        1: "The axis for the queries is missing: the shape must be (batch, 1, tokens).",
        2: 'The mask is inverted: True must mean "may attend", you mark the padding.',
    },
    "rotary_positions": {
        1: "The rotation goes in the wrong direction: the signs of the sines are exchanged.",
        2: "Adjacent columns form a pair here; you pair column i with column i + d/2, as LLaMA does.",
    },
    "sinusoidal_positions": {
        1: "Sine and cosine must alternate; you put all sines first and then all cosines (as tensor2tensor does).",
    },
    "unigram_entropy": {
        2: "The logarithm must be the natural one; you take log2.",
    },
}

UNSAFE: dict[str, dict[int, str]] = {
    "binary_cross_entropy": {
        3: "log(sigmoid) becomes −inf for confident logits; use logsigmoid.",
    },
    "cross_entropy": {
        3: "softmax followed by log gives −inf when the probability underflows; use log_softmax or logsumexp.",
    },
    "scaled_dot_product_attention": {
        3: "The special case is missing: with -1e9 a query that may attend to no key gets the mean of all values instead of zeros.",
    },
    "softmax": {
        2: "Without subtracting the maximum, large scores overflow and give NaN.",
    },
    "split_word": {
        3: "Words longer than MAX_WORD_CHARACTERS must become [UNK]; you forgot this case.",
    },
}

NAMES: dict[str, tuple[str, ...]] = {
    "fourth.adamw_step.answer_01": ("eps inside the root",),
    "fourth.adamw_step.answer_02": ("only the first moment corrected",),
    "fourth.adamw_step.answer_03": ("weight decay without the learning rate",),
    "fourth.alibi_bias.answer_01": ("distance added",),
    "fourth.alibi_bias.answer_02": ("slopes counted from zero",),
    "fourth.alibi_bias.answer_03": ("signed distance",),
    "fourth.binary_cross_entropy.answer_01": ("exchanged: `logits` and `targets`",),
    "fourth.binary_cross_entropy.answer_02": ("mean of the binary losses",),
    "fourth.causal_mask.answer_01": ("causal mask of the future",),
    "fourth.clip_by_global_norm.answer_01": ("clipping of each tensor separately",),
    "fourth.cross_entropy.answer_01": ("softmax before cross-entropy",),
    "fourth.cross_entropy.answer_02": ("mean in place of separate losses",),
    "fourth.encoder_layer.answer_01": ("pre-norm layer",),
    "fourth.encoder_layer.answer_02": ("second residual from the input",),
    "fourth.encoder_layer.answer_03": ("one normalization for both sublayers",),
    "fourth.feed_forward.answer_01": ("always ReLU",),
    "fourth.feed_forward.answer_02": ("no second bias",),
    "fourth.gelu_tanh.answer_01": ("another operator: `2 * math.pi` instead of `2 / math.pi`",),
    "fourth.gelu_tanh.answer_02": ("GELU with tanh, ten times the cube",),
    "fourth.gelu_tanh.answer_03": ("GELU with tanh, exact",),
    "fourth.greedy_decoding.answer_01": ("prompt in the output",),
    "fourth.greedy_decoding.answer_02": ("only the prompt given",),
    "fourth.greedy_decoding.answer_03": ("stop with the first finished text",),
    "fourth.label_smoothing_loss.answer_01": ("smoothing over the wrong classes only",),
    "fourth.label_smoothing_loss.answer_02": ("smoothing not averaged",),
    "fourth.layer_norm.answer_01": ("variance divided by d - 1",),
    "fourth.layer_norm.answer_02": ("eps outside the root",),
    "fourth.layer_norm.answer_03": ("division by the variance",),
    "fourth.layer_norm.answer_04": ("fixed eps of PyTorch",),
    "fourth.layer_norm.answer_05": ("normalization over the tokens",),
    "fourth.lora.answer_01": ("no scale in LoRA",),
    "fourth.lora.answer_02": ("dropout on the frozen path",),
    "fourth.masked_lm_loss.answer_01": ("mean over all tokens",),
    "fourth.masked_lm_loss.answer_02": ("sum in place of the masked mean",),
    "fourth.merge_heads.answer_02": ("columns of the heads interleaved",),
    "fourth.multi_head_attention.answer_01": ("scores divided by the root of the whole width",),
    "fourth.multi_head_attention.answer_02": ("no output projection",),
    "fourth.multi_head_attention.answer_03": ("heads merged without transposing",),
    "fourth.multi_head_attention_layer.answer_01": ("keys instead of values",),
    "fourth.multi_head_attention_layer.answer_02": ("cross-attention to itself",),
    "fourth.online_softmax_attention.answer_01": ("output of earlier blocks not rescaled",),
    "fourth.online_softmax_attention.answer_02": ("last partial block skipped",),
    "fourth.padding_mask.answer_01": ("padding mask without an axis for the queries",),
    "fourth.padding_mask.answer_02": ("padding mask inverted",),
    "fourth.rotary_positions.answer_01": ("rotation in the opposite direction",),
    "fourth.rotary_positions.answer_02": ("rotation of halves",),
    "fourth.rotary_positions.answer_03": ("adjacent columns rotated by the angles of halves",),
    "fourth.scaled_dot_product_attention.answer_01": ("scores divided by the root of the keys",),
    "fourth.scaled_dot_product_attention.answer_02": ("mask after the softmax",),
    "fourth.scaled_dot_product_attention.answer_04": ("mask inverted",),
    "fourth.scaled_dot_product_attention.answer_05": ("softmax over the queries",),
    "fourth.shift_right.answer_01": ("target not padded",),
    "fourth.sinusoidal_positions.answer_01": ("sines first, then cosines",),
    "fourth.sinusoidal_positions.answer_02": ("positional exponent halved",),
    "fourth.sinusoidal_positions.answer_03": ("base of one thousand",),
    "fourth.softmax.answer_01": ("softmax over the first axis",),
    "fourth.softmax.answer_03": ("sum over all rows",),
    "fourth.split_word.answer_01": ("no prefix inside words",),
    "fourth.split_word.answer_02": ("unknown piece only",),
    "fourth.split_word.answer_04": ("shortest match first",),
    "fourth.top_k_filter.answer_01": ("top-k with one token too few",),
    "fourth.top_k_filter.answer_02": ("zero for removed tokens",),
    "fourth.top_p_filter.answer_01": ("nucleus without its last token",),
    "fourth.top_p_filter.answer_02": ("nucleus in sorted order",),
    "fourth.training_steps.answer_01": ("gradients not reset", "training in evaluation mode"),
    "fourth.training_steps.answer_03": ("training in evaluation mode",),
    "fourth.unigram_entropy.answer_01": ("added count missing in the sum",),
    "fourth.unigram_entropy.answer_02": ("baseline in bits",),
    "fourth.warmup_linear_schedule.answer_01": ("last step without effect",),
}

SENTENCES: dict[str, str] = {
    "fourth.causal_mask.answer_02": "The result has the data type float32, expected bool.",
    "fourth.clip_by_global_norm.answer_02": "The function changes its arguments `gradients[0]` and `gradients[1]`",
    "fourth.label_smoothing_loss.answer_03": "Your numbers are the expected ones for label_smoothing = 0.1: label_smoothing is not used.",
    "fourth.layer_norm.answer_06": "The function changes its argument `hidden`",
    "fourth.merge_heads.answer_01": "RuntimeError: view size is not compatible",
    "fourth.multi_head_attention_layer.answer_03": "TypeError: linear(): argument 'input' (position 1) must be Tensor, not tuple. The input: given keys and values. Called with queries_from of shape",
    "fourth.shift_right.answer_02": "The function changes its argument `labels`",
    "fourth.training_steps.answer_02": "the function returned None; does it end with `return`?",
    "fourth.warmup_linear_schedule.answer_02": "ZeroDivisionError: division by zero. The input: no warm-up. Called with step = 10; total_steps = 10; warmup_steps = 0.",
}
"""Beginnings of what the check says without a name: a relation, or the reason."""
