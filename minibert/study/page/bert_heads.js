// The heads of BERT and its relatives, as minibert/model/heads.py and family_heads.py, and their predictions.

/** BERT or one of its relatives, with its head. */
class Bert extends Encoder {
  /** @param {NetworkData} data */
  constructor(data) {
    super(data);
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
    this.checkLength(input.ids.length);
    return record(changes, () => {
      this.head(this.encode(input, this.keep(input, changes)), input.ids.slice(0, input.length), changes.temperature ?? 1);
    });
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
    switch (this.data.head) {
      case "mlm":
        this.predictWords(this.maskedLMHead(hidden), ids, predict);
        break;
      case "pretraining": {
        const logits = this.maskedLMHead(hidden);
        const nextSentence = scores("nsp", pooled);
        this.predictWords(logits, ids, predict);
        predict("nsp", nextSentence);
        break;
      }
      case "nsp":
        predict("nsp", scores("nsp", pooled));
        break;
      case "sequence-classification":
        this.predictClasses(scores("classifier", this.sequenceVector(pooled)), predict);
        break;
      case "token-classification":
        this.predictClasses(scores("classifier", hidden), predict);
        break;
      case "question-answering":
        predict("span", scores("span", hidden).mT);
        break;
      case "replaced-tokens":
        this.predictIndependently("replaced", this.replacedTokenHead(hidden));
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
   * The vector of a text that its classifier gets. Without a pooler, the classifier has a hidden layer of its own.
   * @param {FloatTensor} pooled - The pooled vector, or the vectors of all tokens.
   */
  sequenceVector(pooled) {
    if (!this.weights.has("pre_classifier.weight")) {
      return pooled;
    }
    const linear = observe("pre_classifier.linear", this.apply("pre_classifier", pooled.rows([0])));
    return observe("pre_classifier.activation", ACTIVATION_FUNCTIONS[this.data.classifierActivation](linear));
  }

  /**
   * The head of ELECTRA: for each token the score of "it was replaced".
   * @param {FloatTensor} hidden
   */
  replacedTokenHead(hidden) {
    return within("replaced", () => {
      const activation = observe("activation", this.activation(observe("linear", this.apply("replaced.dense", hidden))));
      return observe("logits", this.apply("replaced.output", activation).reshape(...hidden.shape.slice(0, -1)));
    });
  }

  /**
   * The masked-LM head: a transform of the token vector, then its dot product with every word embedding.
   * @param {FloatTensor} hidden
   */
  maskedLMHead(hidden) {
    return within("mlm", () => {
      const activate = ACTIVATION_FUNCTIONS[this.data.mlmActivation];
      const activation = observe("activation", activate(observe("linear", this.apply("mlm.transform", hidden))));
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
      this.predictIndependently("classifier", logits);
    } else if (this.data.predictsClasses) {
      predict("classifier", logits);
    }
  }

  /**
   * Make a probability of each score alone.
   * @param {string} name
   * @param {FloatTensor} logits
   */
  predictIndependently(name, logits) {
    observe(
      `${name}.probabilities`,
      logits.map((score) => 1 / (1 + Math.exp(-score))),
    );
  }
}
