// The equations of BERT, its relatives and GPT-2. Each has the name, the arguments and the lines of its function in
// minibert/equations, in the same order; `minibert equations NAME` shows the two together. Shapes are those of the Python code.
// At the end is the rule of WordPiece, as in minibert/text/wordpiece_encoding.py.

/**
 * Compute the softmax over the last axis: positive numbers that sum to one.
 * @param {FloatTensor} scores - (*batch choices)
 */
function softmax(scores) {
  const exponentials = scores.sub(scores.amax()).exp();
  return exponentials.div(exponentials.sum());
}

/**
 * Compute the mask of a decoder: each token may attend to itself and to earlier tokens.
 * @param {number} tokens
 * @returns {FloatTensor} - (tokens tokens): 1 means "may attend".
 */
function causal_mask(tokens) {
  const keep = Array.from({ length: tokens * tokens }, (_, place) => Number(place % tokens <= Math.floor(place / tokens)));
  return new FloatTensor([tokens, tokens], new Float32Array(keep));
}

/**
 * Compute the mask that excludes the padding at the end of each sequence of a batch.
 * @param {number[]} lengths - (batch)
 * @param {number} tokens
 * @returns {FloatTensor} - (batch 1 tokens): 1 means "may attend".
 */
function padding_mask(lengths, tokens) {
  const keep = lengths.map((length) => Array.from({ length: tokens }, (_, token) => Number(token < length)));
  return new FloatTensor([lengths.length, 1, tokens], new Float32Array(keep.flat()));
}

/**
 * Compute, for each query, the average of the values weighted by how well the query matches each key.
 * @param {FloatTensor} query - (*batch queries width)
 * @param {FloatTensor} key - (*batch keys width)
 * @param {FloatTensor} value - (*batch keys value_width)
 * @param {FloatTensor | null} keep - (*#batch #queries keys): 1 means "may attend".
 * @returns {FloatTensor} - (*batch queries value_width)
 */
function scaled_dot_product_attention(query, key, value, keep = null) {
  const d_k = query.width;
  const dot_products = observe("dot_products", query.matmul(key.mT));
  const scores = observe("scores", dot_products.div(Math.sqrt(d_k)));
  let weights;
  if (keep === null) {
    weights = observe("weights", softmax(scores));
  } else {
    const masked = keep.logical_not();
    const masked_scores = observe("masked_scores", scores.masked_fill(masked, Number.NEGATIVE_INFINITY));
    weights = observe("weights", softmax(masked_scores).masked_fill(masked, 0));
  }
  return observe("context", weights.matmul(value));
}

/**
 * Split the width of each token into equal parts, one for each head.
 * @param {FloatTensor} hidden - (*batch tokens width)
 * @param {number} heads
 * @returns {FloatTensor} - (*batch heads tokens head_width)
 */
function split_heads(hidden, heads) {
  const width = hidden.width / heads;
  return hidden.reshape(...hidden.shape.slice(0, -1), heads, width).transpose(-2, -3);
}

/**
 * Concatenate the outputs of the heads for each token: the inverse of `split_heads`.
 * @param {FloatTensor} heads - (*batch heads tokens width)
 * @returns {FloatTensor} - (*batch tokens heads*width)
 */
function merge_heads(heads) {
  const [count, tokens, width] = heads.shape.slice(-3);
  return heads.transpose(-2, -3).reshape(...heads.shape.slice(0, -3), tokens, count * width);
}

/**
 * Compute several attentions in parallel, each with its own projections, and project their concatenation.
 *
 * Unlike the function in Python, it has the biases of BERT, and names the steps that minibert/model/attention.py names.
 * @param {FloatTensor} queries_from - (*batch queries query_width)
 * @param {FloatTensor} keys_from - (*batch keys key_width)
 * @param {FloatTensor} w_q - (query_width all_heads)
 * @param {FloatTensor} w_k - (key_width all_heads)
 * @param {FloatTensor} w_v - (key_width all_values)
 * @param {FloatTensor} w_o - (all_values width)
 * @param {number} heads
 * @param {FloatTensor | null} keep - (*#batch #queries keys): 1 means "may attend".
 * @param {(FloatTensor | number)[]} biases - Those of the four projections.
 * @returns {FloatTensor} - (*batch queries width)
 */
function multi_head_attention(queries_from, keys_from, w_q, w_k, w_v, w_o, heads, keep = null, biases = [0, 0, 0, 0]) {
  const [b_q, b_k, b_v, b_o] = biases;
  const query = observe("query", split_heads(queries_from.matmul(w_q).add(b_q), heads));
  const key = observe("key", split_heads(keys_from.matmul(w_k).add(b_k), heads));
  const value = observe("value", split_heads(keys_from.matmul(w_v).add(b_v), heads));
  const head_keep = keep === null ? null : keep.unsqueeze(-3); // the same mask for every head
  const context = scaled_dot_product_attention(query, key, value, head_keep);
  return observe("output", observe("merged", merge_heads(context)).matmul(w_o).add(b_o));
}

/**
 * Look up a learned vector for each position, in the same way as a word embedding.
 * @param {FloatTensor} table - (max_positions width)
 * @param {number[]} positions - (positions)
 * @returns {FloatTensor} - (positions width)
 */
function learned_positions(table, positions) {
  return table.rows(positions);
}

/**
 * Compute the position of each token of RoBERTa: the number of tokens so far that are no padding, plus the padding's id.
 * @param {number[]} ids - (tokens)
 * @param {number} pad_id
 * @returns {number[]} - (tokens)
 */
function positions_without_padding(ids, pad_id) {
  let counted = 0;
  return ids.map((id) => {
    counted += Number(id !== pad_id);
    return id === pad_id ? pad_id : counted + pad_id;
  });
}

/**
 * Normalize each token to mean 0 and variance 1 over its width, then apply a learned gain and bias.
 * @param {FloatTensor} hidden - (*batch width)
 * @param {FloatTensor} gain - (width)
 * @param {FloatTensor} bias - (width)
 * @param {number} eps
 * @returns {FloatTensor} - (*batch width)
 */
function layer_norm(hidden, gain, bias, eps = 1e-12) {
  const centered = hidden.sub(observe("mean", hidden.mean()));
  const variance = observe("variance", centered.square().mean());
  const normalized = centered.div(variance.add(eps).sqrt());
  return normalized.mul(gain).add(bias);
}

/**
 * Compute a sublayer (attention or the feed-forward network), add its input, and normalize the sum.
 *
 * Unlike the function in Python, it names the two steps, as minibert/model/layers.py does.
 * @param {FloatTensor} hidden - (*batch width)
 * @param {(hidden: FloatTensor) => FloatTensor} sublayer
 * @param {FloatTensor} gain - (width)
 * @param {FloatTensor} bias - (width)
 * @param {number} eps
 * @param {string} name - Of the sublayer.
 * @returns {FloatTensor} - (*batch width)
 */
function add_and_norm(hidden, sublayer, gain, bias, eps = 1e-12, name = "sublayer") {
  const summed = observe(`${name}_residual`, hidden.add(sublayer(hidden)));
  return observe(
    `${name}_norm`,
    within(`${name}_norm`, () => layer_norm(summed, gain, bias, eps)),
  );
}

/**
 * Compute the rectified linear unit: positive numbers stay, negative numbers become zero.
 * @param {FloatTensor} x - (*shape)
 */
function relu(x) {
  return x.map((value) => Math.max(0, value));
}

/**
 * Compute the Gaussian error linear unit: x times the probability that a standard normal variable is below x.
 * @param {FloatTensor} x - (*shape)
 */
function gelu(x) {
  return x.map((value) => 0.5 * value * (1 + erf(value / Math.SQRT2)));
}

/**
 * Approximate GELU with tanh, which used to be faster to compute than the error function.
 * @param {FloatTensor} x - (*shape)
 */
function gelu_tanh(x) {
  const inner = x.map((value) => Math.sqrt(2 / Math.PI) * (value + 0.044715 * value ** 3));
  return x.zip(inner, (value, inside) => 0.5 * value * (1 + Math.tanh(inside)));
}

/**
 * Compute two linear maps with an activation function between them, for each position separately.
 * @param {FloatTensor} hidden - (*batch width)
 * @param {FloatTensor} weight_1 - (width intermediate)
 * @param {FloatTensor} bias_1 - (intermediate)
 * @param {FloatTensor} weight_2 - (intermediate width)
 * @param {FloatTensor} bias_2 - (width)
 * @param {(x: FloatTensor) => FloatTensor} activation
 * @returns {FloatTensor} - (*batch width)
 */
function feed_forward(hidden, weight_1, bias_1, weight_2, bias_2, activation = relu) {
  const intermediate = observe("intermediate", hidden.matmul(weight_1).add(bias_1));
  return observe("feed_forward", observe("activation", activation(intermediate)).matmul(weight_2).add(bias_2));
}

/**
 * Split a word into pieces of a vocabulary, longest match first. A word that cannot be split, or that is too long, becomes
 * `unk_token`.
 * @param {string} word
 * @param {{has: (piece: string) => boolean}} vocabulary
 * @param {string} unk_token
 * @param {string} prefix - In front of each piece but the first.
 * @param {number} max_characters - Of a word.
 * @returns {string[]}
 */
function split_word(word, vocabulary, unk_token = "[UNK]", prefix = "##", max_characters = 100) {
  const characters = [...word];
  const pieces = [];
  for (let start = 0, end; start < characters.length; start = end) {
    /** @param {number} end */
    const piece = (end) => (start > 0 ? prefix : "") + characters.slice(start, end).join("");
    end = characters.length;
    while (end > start && !vocabulary.has(piece(end))) {
      end--;
    }
    if (end === start || characters.length > max_characters) {
      return [unk_token];
    }
    pieces.push(piece(end));
  }
  return pieces;
}
