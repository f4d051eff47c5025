"""The equations as float64 loops, transcribed from the papers. This file shares no code with minibert."""

import cmath
import math
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
IGNORE_INDEX = -100


def softmax(x: Array) -> Array:
    """Vaswani et al. 2017, in equation 1: e^x_i over the sum of all e^x_j, over the last axis."""
    y = np.zeros_like(x)
    for row in np.ndindex(x.shape[:-1]):
        for i in range(x.shape[-1]):
            y[row][i] = math.exp(x[row][i]) / sum(math.exp(x[row][j]) for j in range(x.shape[-1]))
    return y


def attention(q: Array, k: Array, v: Array, keep: NDArray[np.bool_], bias: Array | None = None) -> Array:
    """Vaswani et al. 2017, equation 1, for one head: softmax(q k^T / sqrt(d_k) + bias) v over the kept keys."""
    queries, d_k = q.shape
    keys, width = v.shape
    out = np.zeros((queries, width))
    for i in range(queries):
        scores = [sum(q[i, c] * k[j, c] for c in range(d_k)) / math.sqrt(d_k) for j in range(keys)]
        if bias is not None:
            scores = [scores[j] + bias[i, j] for j in range(keys)]
        kept = [j for j in range(keys) if keep[i, j]]
        total = sum(math.exp(scores[j]) for j in kept)
        for j in kept:
            for c in range(width):
                out[i, c] += math.exp(scores[j]) / total * v[j, c]
    return out


def split_heads(x: Array, heads: int) -> Array:
    """Vaswani et al. 2017, section 3.2.2: head h has columns h*d to (h+1)*d of every token."""
    tokens, width = x.shape
    d = width // heads
    out = np.zeros((heads, tokens, d))
    for h in range(heads):
        for t in range(tokens):
            for c in range(d):
                out[h, t, c] = x[t, h * d + c]
    return out


def multi_head_attention(
    x: Array, y: Array, wq: Array, wk: Array, wv: Array, wo: Array, heads: int, keep: NDArray[np.bool_]
) -> Array:
    """Vaswani et al. 2017, section 3.2.2: head h projects with its own columns; Concat(head_1, ..., head_h) times W^O."""
    d_k, d_v = wq.shape[1] // heads, wv.shape[1] // heads
    concat = np.zeros((len(x), heads * d_v))
    for h in range(heads):
        q = matmul(x, wq[:, h * d_k : (h + 1) * d_k])
        k = matmul(y, wk[:, h * d_k : (h + 1) * d_k])
        v = matmul(y, wv[:, h * d_v : (h + 1) * d_v])
        head = attention(q, k, v, keep)
        for t in range(len(x)):
            for c in range(d_v):
                concat[t, h * d_v + c] = head[t, c]
    return matmul(concat, wo)


def merge_heads(x: Array) -> Array:
    """Vaswani et al. 2017, section 3.2.2, Concat: column h*d + c of token t is column c of token t in head h."""
    heads, tokens, d = x.shape
    out = np.zeros((tokens, heads * d))
    for h in range(heads):
        for t in range(tokens):
            for c in range(d):
                out[t, h * d + c] = x[h, t, c]
    return out


def matmul(a: Array, b: Array) -> Array:
    """Matrix product: row times column."""
    out = np.zeros((a.shape[0], b.shape[1]))
    for i in range(a.shape[0]):
        for j in range(b.shape[1]):
            out[i, j] = sum(a[i, c] * b[c, j] for c in range(a.shape[1]))
    return out


def causal_mask(n: int) -> NDArray[np.bool_]:
    """Vaswani et al. 2017, section 3.2.3: position i may depend on positions up to i, and on none after."""
    out = np.zeros((n, n), dtype=np.bool_)
    for i in range(n):
        for j in range(i + 1):
            out[i, j] = True
    return out


def padding_mask(lengths: list[int], n: int) -> NDArray[np.bool_]:
    """Every query of a sequence may attend to its first `length` keys, and to no other."""
    out = np.zeros((len(lengths), 1, n), dtype=np.bool_)
    for b in range(len(lengths)):
        for j in range(n):
            out[b, 0, j] = j < lengths[b]
    return out


def sinusoidal_positions(positions: Array, d: int) -> Array:
    """Vaswani et al. 2017, section 3.5: PE(pos, 2i) = sin(pos / 10000^(2i/d)), PE(pos, 2i+1) = cos(the same)."""
    out = np.zeros((len(positions), d))
    for t in range(len(positions)):
        for i in range(d // 2):
            out[t, 2 * i] = math.sin(positions[t] / math.pow(10000, 2 * i / d))
            out[t, 2 * i + 1] = math.cos(positions[t] / math.pow(10000, 2 * i / d))
    return out


def rotary_positions(x: Array, positions: Array) -> Array:
    """Su et al. 2021, equation 34: columns 2i and 2i+1 as a complex number, times e^(i t theta_i)."""
    out = np.zeros_like(x)
    tokens, d = x.shape
    for t in range(tokens):
        for i in range(d // 2):
            theta = math.pow(10000, -2 * i / d)
            rotated = complex(x[t, 2 * i], x[t, 2 * i + 1]) * cmath.exp(1j * positions[t] * theta)
            out[t, 2 * i], out[t, 2 * i + 1] = rotated.real, rotated.imag
    return out


def alibi_bias(queries: Array, keys: Array, heads: int) -> Array:
    """Press et al. 2022, section 3: minus the slope 2^(-8h/H) times the distance."""
    out = np.zeros((heads, len(queries), len(keys)))
    for h in range(heads):
        for i in range(len(queries)):
            for j in range(len(keys)):
                out[h, i, j] = -math.pow(2, -8 * (h + 1) / heads) * abs(queries[i] - keys[j])
    return out


def relative_position_bucket(query: int, key: int, buckets: int, max_distance: int, bidirectional: bool) -> set[int]:
    """Raffel et al. 2020, section 2.1: the bucket of one distance; two numbers where rounding decides between them."""
    n = buckets // 2 if bidirectional else buckets
    first = n if bidirectional and key > query else 0
    r = abs(key - query) if bidirectional else max(0, query - key)
    m = n // 2
    if r < m:
        return {first + r}
    wider = m + math.log(r / m) / math.log(max_distance / m) * (n - m)
    return {first + min(n - 1, math.floor(wider + rounding)) for rounding in (-1e-5, 1e-5)}


def length_penalty(length: int, alpha: float) -> float:
    """Wu et al. 2016, equation 14: (5 + |Y|)^alpha / (5 + 1)^alpha."""
    return math.pow(5 + length, alpha) / math.pow(5 + 1, alpha)


def most_likely(logits: Array, k: int) -> set[int]:
    """Fan et al. 2018: the k most likely tokens."""
    return set(sorted(range(len(logits)), key=lambda token: -logits[token])[:k])


def nucleus(logits: Array, p: float) -> set[int]:
    """Holtzman et al. 2020, equation 2: the smallest set of most likely tokens with a probability of at least p."""
    probabilities = softmax(logits[None])[0]
    chosen, total = set(), 0.0
    for token in sorted(range(len(logits)), key=lambda token: -logits[token]):
        if chosen and total >= p:
            break
        chosen.add(token)
        total += probabilities[token]
    return chosen


def layer_norm(x: Array, gain: Array, bias: Array, eps: float) -> Array:
    """Ba et al. 2016, equations 3 and 4, one vector: mean and variance over all d elements, both divided by d."""
    d = len(x)
    mean = sum(x) / d
    variance = sum((x[i] - mean) ** 2 for i in range(d)) / d
    return np.array([(x[i] - mean) / math.sqrt(variance + eps) * gain[i] + bias[i] for i in range(d)])


def rms_norm(x: Array, gain: Array, eps: float) -> Array:
    """Zhang and Sennrich 2019, equation 4, one vector: divided by the root of the mean of its squares."""
    mean_square = sum(x[i] ** 2 for i in range(len(x))) / len(x)
    return np.array([x[i] / math.sqrt(mean_square + eps) * gain[i] for i in range(len(x))])


def add_and_norm(x: Array, sublayer: Array, gain: Array, bias: Array, eps: float) -> Array:
    """Vaswani et al. 2017, section 3.1, for one vector and the output of its sublayer: LayerNorm(x + Sublayer(x))."""
    return layer_norm(np.array([x[i] + sublayer[i] for i in range(len(x))]), gain, bias, eps)


def relu(x: float) -> float:
    """Vaswani et al. 2017, in equation 2: max(0, x)."""
    return x if x > 0 else 0.0


def gelu(x: float) -> float:
    """Hendrycks and Gimpel 2016: x times the normal distribution function, here by numerical integration of its density."""
    lowest, pieces = -12.0, 4000
    if x <= lowest:
        return 0.0
    h = (x - lowest) / pieces

    def density(t: float) -> float:
        return math.exp(-t * t / 2) / math.sqrt(2 * math.pi)

    inner = sum((4 if i % 2 else 2) * density(lowest + i * h) for i in range(1, pieces))
    return x * (density(lowest) + inner + density(x)) * h / 3


def gelu_tanh(x: float) -> float:
    """Hendrycks and Gimpel 2016, section 2: 0.5 x (1 + tanh[sqrt(2/pi) (x + 0.044715 x^3)])."""
    return 0.5 * x * (1 + math.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x * x * x)))


def feed_forward(
    x: Array, w1: Array, b1: Array, w2: Array, b2: Array, activation: Callable[[float], float] = lambda u: max(0.0, u)
) -> Array:
    """Vaswani et al. 2017, equation 2, one vector: max(0, x W1 + b1) W2 + b2."""
    inner = [activation(sum(x[i] * w1[i, j] for i in range(len(x))) + b1[j]) for j in range(len(b1))]
    return np.array([sum(inner[j] * w2[j, c] for j in range(len(b1))) + b2[c] for c in range(len(b2))])


def cross_entropy(logits: Array, label: int) -> float:
    """Minus the log of the softmax probability of the label, for one prediction; 0 if the label is ignored."""
    if label == IGNORE_INDEX:
        return 0.0
    return -math.log(math.exp(logits[label]) / sum(math.exp(z) for z in logits))


def mean_cross_entropy(logits: Array, labels: NDArray[np.int64]) -> float:
    """Devlin et al. 2019, section 3.1: the mean over the predictions that have a label."""
    losses = [cross_entropy(logits[i], int(labels[i])) for i in range(len(labels)) if labels[i] != IGNORE_INDEX]
    return sum(losses) / len(losses) if losses else 0.0


def smoothed_cross_entropy(logits: Array, label: int, smoothing: float) -> float:
    """Szegedy et al. 2016, section 7: cross-entropy with q'(k) = (1 - eps) [k is the label] + eps / K."""
    if label == IGNORE_INDEX:
        return 0.0
    total = sum(math.exp(z) for z in logits)
    loss = 0.0
    for k in range(len(logits)):
        q = (1 - smoothing) * (1 if k == label else 0) + smoothing / len(logits)
        loss -= q * math.log(math.exp(logits[k]) / total)
    return loss


def binary_cross_entropy(z: float, y: float) -> float:
    """Bishop 2006, equation 4.90: -(y ln s + (1 - y) ln(1 - s)), with s = 1 / (1 + e^-z)."""
    s = 1 / (1 + math.exp(-z))
    return -(y * math.log(s) + (1 - y) * math.log(1 - s))


def sample_tokens(z: Sequence[float], u: float) -> int:
    """Devroye 1986, section III.2: subtract the probabilities from u until it is negative."""
    total = math.fsum(math.exp(each) for each in z)
    for k, each in enumerate(z):
        u -= math.exp(each) / total
        if u < 0:
            return k
    return len(z) - 1


def replaced_token_loss(z: Sequence[float], y: Sequence[int]) -> float:
    """Clark et al. 2020, section 2: the loss of D, with D = 1 - s. Labels -100 are left out."""
    losses = [-math.log(1 / (1 + math.exp(-a if b else a))) for a, b in zip(z, y, strict=True) if b != -100]
    return sum(losses) / max(1, len(losses))


def soft_target_loss(student: Array, teacher: Array, temperature: float) -> float:
    """T² Σ_k p_k ln(p_k / q_k)."""
    q, p = softmax(student / temperature), softmax(teacher / temperature)
    return float(temperature**2 * sum(p[k] * math.log(p[k] / q[k]) for k in range(len(p))))


def cosine_loss(h: Array, g: Array) -> float:
    """1 - h · g / (|h| |g|)."""
    product = sum(h[i] * g[i] for i in range(len(h)))
    lengths = [math.sqrt(sum(x[i] ** 2 for i in range(len(x)))) for x in (h, g)]
    return float(1 - product / (lengths[0] * lengths[1]))


def perplexity(loss: float) -> float:
    """e to the power of the mean loss, computed by its series."""
    total, term = 0.0, 1.0
    for n in range(1, 200):
        total, term = total + term, term * loss / n
    return total


def unigram_entropy(train_ids: list[int], validation_ids: list[int], vocab_size: int) -> float:
    """Minus the mean log frequency of the validation tokens; one is added to the count of every token."""
    total = len(train_ids) + vocab_size
    counts = [sum(1 for token in train_ids if token == t) + 1 for t in validation_ids]
    return -sum(math.log(count / total) for count in counts) / len(validation_ids)


def bigram_entropy(train_ids: list[int], validation_ids: list[int], vocab_size: int) -> float:
    """Minus the mean log-probability of the validation tokens after the token before, by Witten and Bell 1991, method C."""
    total = 0.0
    for n in range(1, len(validation_ids)):
        before, after = validation_ids[n - 1], validation_ids[n]
        followers = [train_ids[i] for i in range(1, len(train_ids)) if train_ids[i - 1] == before]
        types = len({*followers})
        frequency = (sum(1 for token in train_ids if token == after) + 1) / (len(train_ids) + vocab_size)
        seen = sum(1 for token in followers if token == after)
        probability = (seen + types * frequency) / (len(followers) + types) if followers else frequency
        total += math.log(probability)
    return -total / (len(validation_ids) - 1)


def adamw(
    theta: float,
    gradients: list[float],
    learning_rate: float,
    betas: tuple[float, float],
    eps: float,
    decay: float,
    bias_correction: bool,
) -> float:
    """Loshchilov and Hutter 2019, algorithm 2, for one weight: one step for every gradient."""
    m = v = 0.0
    for t, g in enumerate(gradients, start=1):
        m = betas[0] * m + (1 - betas[0]) * g
        v = betas[1] * v + (1 - betas[1]) * g * g
        m_hat = m / (1 - math.pow(betas[0], t)) if bias_correction else m
        v_hat = v / (1 - math.pow(betas[1], t)) if bias_correction else v
        theta = theta - learning_rate * (m_hat / (math.sqrt(v_hat) + eps) + decay * theta)
    return theta


def warmup_linear(t: int, total_steps: int, warmup_steps: int) -> float:
    """Devlin et al. 2019, section A.2: linear to 1 during the warm-up, then linear to 0 at step `total_steps` + 1."""
    if t > total_steps:
        return 0.0
    return t / warmup_steps if t <= warmup_steps else (total_steps + 1 - t) / (total_steps - warmup_steps)


def noam(t: int, d_model: int, warmup_steps: int) -> float:
    """Vaswani et al. 2017, equation 3."""
    return min(1 / math.sqrt(t), t * math.pow(warmup_steps, -1.5)) / math.sqrt(d_model)


def clip(gradients: list[float], max_norm: float) -> list[float]:
    """Pascanu et al. 2013, algorithm 1: if the norm is above the threshold, g becomes threshold / norm times g."""
    norm = math.sqrt(sum(g * g for g in gradients))
    return [g * max_norm / norm if norm > max_norm else g for g in gradients]


def mask_example(
    tokens: Sequence[int],
    maskable: Sequence[bool],
    draws: Sequence[Sequence[float]],
    mask: int,
    pieces: Sequence[int],
    share: float,
    continues: Sequence[bool],
    most: int,
) -> list[tuple[int, int]]:
    """Devlin et al. 2019, section 3.1, task 1, with Google's whole-word masking: new token and label at each position."""
    words: list[list[int]] = []
    for position in range(len(tokens)):
        if continues[position] and maskable[position] and position > 0:
            words[-1].append(position)
        else:
            words.append([position])
    masked: set[int] = set()
    for word in sorted(words, key=lambda word: draws[word[0]][0]):
        selected = [position for position in word if maskable[position]]
        if draws[word[0]][0] >= share or len(masked) + len(selected) > most:
            break
        masked.update(selected)
    result = []
    for position, token in enumerate(tokens):
        _, action, choice = draws[position]
        if position not in masked:
            result.append((token, IGNORE_INDEX))
        elif action < 0.8:
            result.append((mask, token))
        elif action < 0.9:
            result.append((pieces[int(choice * len(pieces))], token))
        else:
            result.append((token, token))
    return result


def truncated_pair(a_length: int, b_length: int, max_length: int) -> tuple[int, int]:
    """Google's BERT code, `truncate_seq_pair`: the lengths of both segments after truncation."""
    while a_length + b_length > max_length:
        if a_length > b_length:
            a_length -= 1
        else:
            b_length -= 1
    return a_length, b_length


def lora(
    x: Sequence[float],
    weight: Sequence[Sequence[float]],
    a: Sequence[Sequence[float]],
    b: Sequence[Sequence[float]],
    scale: float,
) -> list[float]:
    """Hu et al. 2021, equation 3, for one vector: W0 x + s B (A x)."""
    low = [sum(a[j][k] * x[k] for k in range(len(x))) for j in range(len(a))]
    return [
        sum(weight[i][k] * x[k] for k in range(len(x))) + scale * sum(b[i][j] * low[j] for j in range(len(a)))
        for i in range(len(weight))
    ]


def bottleneck_adapter(
    x: Sequence[float],
    down: Sequence[Sequence[float]],
    down_bias: Sequence[float],
    up: Sequence[Sequence[float]],
    up_bias: Sequence[float],
) -> list[float]:
    """Houlsby et al. 2019, figure 2, for one token: x plus the up-projection of GELU of the down-projection."""
    features = [gelu(sum(x[k] * down[k][j] for k in range(len(x))) + down_bias[j]) for j in range(len(down_bias))]
    return [x[i] + sum(features[j] * up[j][i] for j in range(len(features))) + up_bias[i] for i in range(len(x))]


def patches(image: Array, height: int, width: int) -> list[list[float]]:
    """Dosovitskiy et al. 2021, section 3.1: the numbers of each patch, channel by channel and row by row."""
    channels, rows, columns = image.shape
    return [
        [image[c][top + r][left + s] for c in range(channels) for r in range(height) for s in range(width)]
        for top in range(0, rows, height)
        for left in range(0, columns, width)
    ]
