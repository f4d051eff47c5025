// BERT's encoder and its heads, as minibert/model/bert.py and heads.py: from token ids to every tensor of the forward pass.

/**
 * A network that Python wrote; see live.py.
 * @typedef {object} NetworkData
 * @property {string} architecture - The name of its class.
 * @property {number} heads
 * @property {number} layers
 * @property {string} activation
 * @property {number} eps - Of layer normalization.
 * @property {number} segments - Number of segments.
 * @property {number} maxTokens
 * @property {boolean} predictsClasses - False for a regression.
 * @property {boolean} isMultiLabel - True if the classes do not exclude each other.
 * @property {number | null} mask - The id of [MASK].
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
};

/** A BERT with the head that its architecture has. */
class Bert {
  /** @param {NetworkData} data */
  constructor(data) {
    this.data = data;
    this.activation = ACTIVATION_FUNCTIONS[data.activation];
    /** @type {Map<string, FloatTensor>} */
    this.weights = new Map(
      Object.entries(data.weights).map(([name, { shape, data }]) => {
        const weight = new FloatTensor(shape, decodeFloat16(data));
        return [name, isLinearMap(name, shape) ? weight.mT : weight];
      }),
    );
    this.outputMatrix = this.weights.get("mlm.decoder.weight") ?? this.weight("embeddings.words.weight").mT;
  }

  /**
   * Run the forward pass and the softmax of the predictions.
   * @param {NetworkInput} input
   * @param {Changes} changes
   * @returns {Map<string, FloatTensor>} - The tensors by path, as `record` in Python has them, in the same order.
   * @throws {RangeError} If the input has more tokens than the network has positions.
   */
  run(input, changes = {}) {
    const tokens = input.ids.length;
    if (tokens > this.data.maxTokens) {
      throw new RangeError(`The input has ${tokens} tokens, but the network has ${this.data.maxTokens} positions.`);
    }
    const keep = padding_mask([changes.noMask ? tokens : (input.length ?? tokens)], tokens);
    return record(changes, () => {
      let hidden = within("embeddings", () => this.embeddings(input));
      for (let layer = 0; layer < this.data.layers; layer++) {
        hidden = within(`layers.${layer}`, () => this.encoderLayer(`layers.${layer}`, hidden, keep));
      }
      this.head(hidden, input.ids.slice(0, input.length), changes.temperature ?? 1);
    });
  }

  /**
   * Word, position and segment embeddings, summed and normalized.
   * @param {NetworkInput} input
   */
  embeddings({ ids, segments }) {
    /** @type {(name: string, numbers: number[]) => FloatTensor} */
    const lookUp = (name, numbers) => learned_positions(this.weight(`embeddings.${name}.weight`), numbers).unsqueeze(-3);
    const words = observe("words", lookUp("words", ids));
    const positions = observe("positions", lookUp("positions", [...ids.keys()]));
    const segmentIds = this.data.segments > 1 ? segments : ids.map(() => 0);
    const sum = observe("sum", words.add(positions).add(observe("segments", lookUp("segments", segmentIds))));
    return observe("output", this.norm("embeddings.norm", "norm", sum));
  }

  /**
   * One encoder layer: self-attention and a feed-forward network, each followed by a residual connection and normalization.
   * @param {string} path
   * @param {FloatTensor} hidden
   * @param {FloatTensor} keep
   */
  encoderLayer(path, hidden, keep) {
    /** @type {(x: FloatTensor) => FloatTensor} */
    const attention = (x) => within("attention", () => this.attention(`${path}.attention`, x, keep));
    /** @type {(x: FloatTensor) => FloatTensor} */
    const network = (x) => {
      const first = this.linear(`${path}.feed_forward.intermediate`);
      const second = this.linear(`${path}.feed_forward.output`);
      return feed_forward(x, ...first, ...second, this.activation);
    };
    const { eps } = this.data;
    const attended = add_and_norm(hidden, attention, ...this.linear(`${path}.attention_norm`), eps, "attention");
    return observe("output", add_and_norm(attended, network, ...this.linear(`${path}.feed_forward_norm`), eps, "feed_forward"));
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
   * The pooler, the scores of the heads, and the probabilities of their predictions.
   * @param {FloatTensor} hidden
   * @param {number[]} ids - Without those of the padding.
   * @param {number} temperature
   */
  head(hidden, ids, temperature) {
    const pooled = this.weights.has("pooler.dense.weight") ? this.pooler(hidden) : hidden;
    /** @type {(name: string, logits: FloatTensor) => void} */
    const predict = (name, logits) => {
      observe(`${name}.probabilities`, softmax(logits.div(temperature)));
    };
    /** @type {(name: string, from: FloatTensor) => FloatTensor} */
    const scores = (name, from) => observe(`${name}.logits`, this.apply(name, from));
    switch (this.data.architecture) {
      case "BertForMaskedLM":
        this.predictWords(this.maskedLMHead(hidden), ids, predict);
        break;
      case "BertForPreTraining": {
        const logits = this.maskedLMHead(hidden);
        const nextSentence = scores("nsp", pooled);
        this.predictWords(logits, ids, predict);
        predict("nsp", nextSentence);
        break;
      }
      case "BertForNextSentencePrediction":
        predict("nsp", scores("nsp", pooled));
        break;
      case "BertForSequenceClassification":
        this.predictClasses(scores("classifier", pooled), predict);
        break;
      case "BertForTokenClassification":
        this.predictClasses(scores("classifier", hidden), predict);
        break;
      case "BertForQuestionAnswering":
        predict("span", scores("span", hidden).mT);
    }
  }

  /**
   * The first token's vector after a linear map and tanh.
   * @param {FloatTensor} hidden
   */
  pooler(hidden) {
    const first = hidden.rows([0]);
    const linear = within("pooler", () => observe("linear", this.apply("pooler.dense", first)));
    return observe("pooler", linear.map(Math.tanh));
  }

  /**
   * The masked-LM head: a transform of the token vector, then its dot product with every word embedding.
   * @param {FloatTensor} hidden
   */
  maskedLMHead(hidden) {
    return within("mlm", () => {
      const activation = observe("activation", this.activation(observe("linear", this.apply("mlm.transform", hidden))));
      const transformed = observe("transform", this.norm("mlm.norm", "norm", activation));
      return observe("logits", transformed.matmul(this.outputMatrix).add(this.weight("mlm.bias")));
    });
  }

  /**
   * Predict the words at every [MASK]; without one, at all tokens.
   * @param {FloatTensor} logits
   * @param {number[]} ids
   * @param {(name: string, logits: FloatTensor) => void} predict
   */
  predictWords(logits, ids, predict) {
    predict("mlm", observe("mlm.predicted_logits", logits.rows(this.predictedTokens(ids))));
  }

  /**
   * Return the tokens whose words are predicted.
   * @param {number[]} ids
   */
  predictedTokens(ids) {
    const all = [...ids.keys()];
    const masked = all.filter((token) => ids[token] === this.data.mask);
    return masked.length > 0 ? masked : all;
  }

  /**
   * Predict classes, unless the scores are numbers to predict.
   * @param {FloatTensor} logits
   * @param {(name: string, logits: FloatTensor) => void} predict
   */
  predictClasses(logits, predict) {
    if (this.data.isMultiLabel) {
      observe(
        "classifier.probabilities",
        logits.map((score) => 1 / (1 + Math.exp(-score))),
      );
    } else if (this.data.predictsClasses) {
      predict("classifier", logits);
    }
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
    return isLinearMap(name, weight.shape) ? weight.mT : weight;
  }
}

/**
 * Return whether a weight is the matrix of a linear map. PyTorch keeps it transposed.
 * @param {string} name
 * @param {number[]} shape
 */
function isLinearMap(name, shape) {
  return shape.length === 2 && !name.startsWith("embeddings.");
}
