// The parts that BERT, its relatives and GPT-2 have in common: weights, attention, and the feed-forward network.

/**
 * A network that Python wrote; see live.py.
 * @typedef {object} NetworkData
 * @property {string} head - The name of its head, as in `minibert.load`.
 * @property {boolean} isCausal - No token attends to later ones.
 * @property {number} heads - Number of attention heads.
 * @property {number[]} layers - For each layer, in the order in which they run, the number of the one whose weights it has.
 * @property {string} activation
 * @property {string} mlmActivation - That of the masked-LM head.
 * @property {string | null} pairTask - That of the head for sentence pairs, "nsp" or "sop".
 * @property {string} classifierActivation - That of the hidden layer of a classifier.
 * @property {number | null} uncounted - The id of padding, if the positions do not count it.
 * @property {number} eps - Of layer normalization.
 * @property {number} segments - Number of segments.
 * @property {number} maxTokens
 * @property {boolean} predictsClasses - False for a regression.
 * @property {boolean} isMultiLabel - True if the classes do not exclude each other.
 * @property {number | null} mask - The id of [MASK].
 * @property {string[]} tables - The names of the weights that are tables of embeddings.
 * @property {Record<string, {shape: number[], data: string}>} weights - By the names in Python, without "bert.".
 *
 * @typedef {object} NetworkInput
 * @property {number[]} ids
 * @property {number[]} segments - 0 for the tokens of sentence A, 1 for those of sentence B.
 * @property {number} [length] - Number of tokens before the padding. Default: all.
 */

/** @type {Record<string, (x: FloatTensor) => FloatTensor>} Activation functions, by their names in a config. */
const ACTIVATION_FUNCTIONS = {
  gelu,
  gelu_new: gelu_tanh,
  gelu_pytorch_tanh: gelu_tanh,
  relu,
  silu: (x) => x.map((value) => value / (1 + Math.exp(-value))),
  quick_gelu: (x) => x.map((value) => value / (1 + Math.exp(-1.702 * value))),
  tanh: (x) => x.map(Math.tanh),
};

/** A network. A subclass has the method `run`, which computes the forward pass. */
class Network {
  /** @param {NetworkData} data */
  constructor(data) {
    this.data = data;
    this.activation = ACTIVATION_FUNCTIONS[data.activation];
    /** @type {Map<string, FloatTensor>} */
    this.weights = new Map(
      Object.entries(data.weights).map(([name, { shape, data }]) => {
        const weight = new FloatTensor(shape, decodeFloat16(data));
        return [name, this.isLinearMap(name) ? weight.mT : weight];
      }),
    );
  }

  /**
   * Return the position of each token.
   * @param {number[]} ids
   */
  positions(ids) {
    return this.data.uncounted === null ? [...ids.keys()] : positions_without_padding(ids, this.data.uncounted);
  }

  /**
   * The feed-forward network of a layer.
   * @param {string} path
   * @param {FloatTensor} x
   */
  feedForward(path, x) {
    return feed_forward(x, ...this.linear(`${path}.intermediate`), ...this.linear(`${path}.output`), this.activation);
  }

  /**
   * Self-attention.
   * @param {string} path
   * @param {FloatTensor} hidden
   * @param {FloatTensor} keep
   */
  attention(path, hidden, keep) {
    const [[w_q, b_q], [w_k, b_k], [w_v, b_v], [w_o, b_o]] = ["query", "key", "value", "output"].map((name) =>
      this.linear(`${path}.${name}`),
    );
    return multi_head_attention(hidden, hidden, w_q, w_k, w_v, w_o, this.data.heads, keep, [b_q, b_k, b_v, b_o]);
  }

  /**
   * Apply a linear map.
   * @param {string} name
   * @param {FloatTensor} x
   */
  apply(name, x) {
    const [weight, bias] = this.linear(name);
    return x.matmul(weight).add(bias);
  }

  /**
   * Apply a layer normalization.
   * @param {string} name
   * @param {string} module - Its name in the paths of what is observed.
   * @param {FloatTensor} x
   */
  norm(name, module, x) {
    return within(module, () => layer_norm(x, ...this.linear(name), this.data.eps));
  }

  /**
   * Return the weight and the bias of a linear map, or the gain and the bias of a normalization.
   * @param {string} name
   * @returns {[FloatTensor, FloatTensor]}
   */
  linear(name) {
    return [this.weight(`${name}.weight`), this.weight(`${name}.bias`)];
  }

  /** @param {string} name */
  weight(name) {
    return /** @type {FloatTensor} */ (this.weights.get(name));
  }

  /**
   * Return a weight as PyTorch keeps it.
   * @param {string} name
   */
  parameter(name) {
    const weight = this.weight(name);
    return this.isLinearMap(name) ? weight.mT : weight;
  }

  /**
   * Return whether a weight is the matrix of a linear map. PyTorch keeps it transposed.
   * @param {string} name
   */
  isLinearMap(name) {
    const { weights, tables } = this.data;
    return weights[name].shape.length === 2 && !tables.includes(name);
  }

  /**
   * @param {number} tokens
   * @throws {RangeError} If the network has fewer positions.
   */
  checkLength(tokens) {
    if (tokens > this.data.maxTokens) {
      throw new RangeError(`The input has ${tokens} tokens, but the network has ${this.data.maxTokens} positions.`);
    }
  }
}

/**
 * Return the network that Python wrote.
 * @param {NetworkData} data
 * @returns {Bert | Gpt2}
 */
function networkOf(data) {
  return data.head === "lm" ? new Gpt2(data) : new Bert(data);
}
