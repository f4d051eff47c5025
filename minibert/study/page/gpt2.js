// GPT-2, as minibert/model/gpt2.py: a decoder of pre-norm layers with a causal mask, and the prediction of the next token.

/** GPT-2 with its language-modeling head. */
class Gpt2 extends Network {
  /** @param {NetworkData} data */
  constructor(data) {
    super(data);
    this.outputMatrix = this.weights.get("output.weight") ?? this.weight("words.weight").mT;
  }

  /**
   * Run the forward pass and the softmax of the prediction.
   * @param {NetworkInput} input
   * @param {Changes} changes
   * @returns {Map<string, FloatTensor>} - As of `Bert`.
   * @throws {RangeError} If the input has more tokens than the network has positions.
   */
  run({ ids }, changes = {}) {
    this.checkLength(ids.length);
    return record(changes, () => {
      const hidden = within("decoder", () => this.decode(ids, this.keep({ ids }, changes)));
      const logits = observe("logits", hidden.matmul(this.outputMatrix));
      const predicted = observe("predicted_logits", logits.rows(this.predictedTokens(ids)));
      observe("probabilities", softmax(predicted.div(changes.temperature ?? 1)));
    });
  }

  /**
   * Return which tokens each token attends to: itself and the earlier ones.
   * @param {Pick<NetworkInput, "ids">} input
   * @param {Changes} changes
   * @returns {FloatTensor} - (1 tokens tokens): 1 means "may attend".
   */
  keep({ ids }, { noMask }) {
    const all = new FloatTensor([ids.length, ids.length]).map(() => 1);
    return (noMask ? all : causal_mask(ids.length)).unsqueeze(-3);
  }

  /**
   * Compute one vector for each token.
   * @param {number[]} ids
   * @param {FloatTensor} keep
   */
  decode(ids, keep) {
    const words = observe("embeddings.words", this.weight("words.weight").rows(ids).unsqueeze(-3));
    const table = this.weight("decoder.positions.table.weight");
    const vectors = observe("vectors", learned_positions(table, this.positions(ids)).unsqueeze(-3));
    let hidden = observe("embeddings.sum", words.add(vectors));
    for (const layer of this.data.layers) {
      hidden = within(`layers.${layer}`, () => this.decoderLayer(`decoder.layers.${layer}`, hidden, keep));
    }
    return observe("norm", this.norm("decoder.norm", "norm", hidden));
  }

  /**
   * One layer: self-attention and a feed-forward network. Each gets its input normalized, and its input is added to its output.
   * @param {string} path
   * @param {FloatTensor} hidden
   * @param {FloatTensor} keep
   */
  decoderLayer(path, hidden, keep) {
    /** @type {(name: string) => (x: FloatTensor) => FloatTensor} */
    const norm = (name) => (x) => observe(name, this.norm(`${path}.${name}`, name, x));
    const normalized = norm("attention_norm")(hidden);
    const attention = within("attention", () => this.attention(`${path}.attention`, normalized, keep));
    const attended = observe("attention_residual", hidden.add(attention));
    const network = this.feedForward(`${path}.feed_forward`, norm("feed_forward_norm")(attended));
    return observe("output", observe("feed_forward_residual", attended.add(network)));
  }

  /**
   * Return the tokens whose next token is predicted: the last one.
   * @param {number[]} ids
   */
  predictedTokens(ids) {
    return [ids.length - 1];
  }
}
