// The computation of experiments, and what each one is compared with.

/**
 * `text` and `pair`: what the page was opened with.
 * @typedef {Pick<PageData, "title" | "text" | "start" | "facts"> & {pair: string | null, network: NetworkData,
 *   tokenizer: TokenizerData, templates: Templates, experiments: ReadyExperiment[]}} LiveContent
 */

/** Computes the walks of a live page. */
class Laboratory {
  /** @param {LiveContent} content */
  constructor(content) {
    this.content = content;
    const { network, tokenizer, templates, text, pair } = content;
    this.live = new LiveWalk(templates, networkOf(network), tokenizerOf(tokenizer));
    this.openedRun = this.live.run(text, pair);
    /** The last text without changes. */
    this.plain = { text, pair, padding: 0, run: this.openedRun };
    this.heads = network.layers.map(() => network.heads);
    this.mask = network.mask === null ? null : tokenizer.pieces[network.mask];
    const opened = { text, pair, padding: 0, off: [], attention: 1, temperature: 1, cells: {} };
    const hasPair = pair !== null || this.openedRun.tensors.has("nsp.logits");
    this.experiments = new Experiments(
      opened,
      this.heads,
      this.openedRun.tensors.keys(),
      hasPair,
      tokenizer.pad !== null && !network.isCausal, // the mask of a decoder hides no padding
      network.isCausal,
    );
  }

  /**
   * Compute an experiment. It is compared with the same text without changes, or else with the text of the opened page.
   * @param {Experiment} experiment
   * @returns {Walk}
   * @throws {RangeError} If the text has no word, or more tokens than the network has positions.
   */
  walk(experiment) {
    const { text, pair, padding } = experiment;
    const isOpenedText = text === this.content.text && pair === this.content.pair;
    if (text.trim() === "" && !isOpenedText) {
      throw new RangeError("Type a text: one word is enough.");
    }
    const fields = this.experiments.format(experiment);
    const isChanged = fields !== this.experiments.format({ ...this.experiments.opened, text, pair, padding });
    const plain = this.runOf(text, pair, padding);
    const changed = isChanged ? this.live.run(text, pair, changesOf(experiment), padding) : null;
    const [run, other, label] = changed ? [changed, plain, "before"] : [plain, this.openedRun, "first text"];
    const { title, facts, start } = this.content;
    const shown = printable(pair === null ? text : `${text} / ${pair}`);
    return new Walk({ title, facts, start, text: shown, ...this.live.data(run, fields ? other : null, label) });
  }

  /**
   * Return the forward pass of a text without changes. The last one is kept: most changes leave the text as it is.
   * @param {string} text
   * @param {string | null} pair
   * @param {number} padding
   */
  runOf(text, pair, padding) {
    if (text !== this.plain.text || pair !== this.plain.pair || padding !== this.plain.padding) {
      this.plain = { text, pair, padding, run: this.live.run(text, pair, {}, padding) };
    }
    return this.plain.run;
  }

  /**
   * Compute the experiment of an address, or the opened one if that is not possible.
   * @param {string} hash
   * @returns {{experiment: Experiment, walk: Walk, problem: string}}
   */
  open(hash) {
    const experiment = this.experiments.parse(hash);
    try {
      return { experiment, walk: this.walk(experiment), problem: "" };
    } catch (error) {
      const { text, pair } = this.content;
      const possible = { ...experiment, text, pair };
      return { experiment: possible, walk: this.walk(possible), problem: messageOf(error) };
    }
  }
}

/** @param {unknown} error */
function messageOf(error) {
  if (error instanceof RangeError) {
    return error.message;
  }
  throw error;
}
