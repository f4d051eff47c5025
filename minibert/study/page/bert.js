// The encoder of BERT and its relatives, as minibert/model/bert.py: from token ids to one vector for each token. The weights and
// the fields of `NetworkData` say which parts a network has.

/** The encoder of BERT or of one of its relatives. */
class Encoder extends Network {
  /**
   * Return which tokens may be attended to: all but the padding.
   * @param {NetworkInput} input
   * @param {Changes} changes
   * @returns {FloatTensor} - (1 1 tokens): 1 means "may attend".
   */
  keep({ ids, length = ids.length }, { noMask }) {
    return padding_mask([noMask ? ids.length : length], ids.length);
  }

  /**
   * Compute one vector for each token.
   * @param {NetworkInput} input
   * @param {FloatTensor} keep - (1 1 tokens): 1 means "may attend".
   */
  encode(input, keep) {
    let hidden = within("embeddings", () => this.embeddings(input));
    if (this.weights.has("projection.weight")) {
      hidden = observe("projection", this.apply("projection", hidden));
    }
    this.data.layers.forEach((shared, layer) => {
      hidden = within(`layers.${layer}`, () => this.encoderLayer(`layers.${shared}`, hidden, keep));
    });
    return hidden;
  }

  /**
   * Word, position and segment embeddings, summed and normalized.
   * @param {NetworkInput} input
   */
  embeddings({ ids, segments }) {
    /** @type {(name: string, numbers: number[]) => FloatTensor} */
    const lookUp = (name, numbers) => learned_positions(this.weight(`embeddings.${name}.weight`), numbers).unsqueeze(-3);
    const words = observe("words", lookUp("words", ids));
    const positions = observe("positions", lookUp("positions", this.positions(ids)));
    const segmentIds = this.data.segments > 1 ? segments : ids.map(() => 0);
    const hasSegments = this.weights.has("embeddings.segments.weight");
    const segmentRows = observe("segments", hasSegments ? lookUp("segments", segmentIds) : new FloatTensor(words.shape));
    const sum = observe("sum", words.add(positions).add(segmentRows));
    return observe("output", this.norm("embeddings.norm", "norm", sum));
  }

  /**
   * One encoder layer: self-attention and a feed-forward network, each followed by a residual connection and normalization.
   * @param {string} path - Of its weights.
   * @param {FloatTensor} hidden
   * @param {FloatTensor} keep
   */
  encoderLayer(path, hidden, keep) {
    /** @type {(x: FloatTensor) => FloatTensor} */
    const attention = (x) => within("attention", () => this.attention(`${path}.attention`, x, keep));
    /** @type {(x: FloatTensor) => FloatTensor} */
    const network = (x) => this.feedForward(`${path}.feed_forward`, x);
    const { eps } = this.data;
    const attended = add_and_norm(hidden, attention, ...this.linear(`${path}.attention_norm`), eps, "attention");
    return observe("output", add_and_norm(attended, network, ...this.linear(`${path}.feed_forward_norm`), eps, "feed_forward"));
  }
}
