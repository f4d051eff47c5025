// The live page: it computes the numbers that the page of a step-through shows.

/**
 * `text` and `pair`: what the page was opened with.
 * @typedef {Pick<PageData, "title" | "text" | "start" | "facts"> & {pair: string | null, network: NetworkData,
 *   tokenizer: TokenizerData, templates: Templates}} LiveContent
 */

/** Computes the walks of a live page. */
class Laboratory {
  /** @param {LiveContent} content */
  constructor(content) {
    this.content = content;
    const { network, tokenizer, templates, text, pair } = content;
    this.live = new LiveWalk(templates, new Bert(network), new WordPiece(tokenizer));
    this.openedRun = this.live.run(text, pair);
    this.heads = Array.from({ length: network.layers }, () => network.heads);
    const opened = { text, pair, off: [], attention: 1, temperature: 1, cells: {} };
    const hasPair = pair !== null || this.openedRun.tensors.has("nsp.logits");
    this.experiments = new Experiments(opened, this.heads, this.openedRun.tensors.keys(), hasPair);
  }

  /**
   * Compute an experiment. It is compared with the same text without changes, or else with the text of the opened page.
   * @param {Experiment} experiment
   * @returns {Walk}
   * @throws {RangeError} If the text has no word, or more tokens than the network has positions.
   */
  walk(experiment) {
    const { text, pair } = experiment;
    const isOpenedText = text === this.content.text && pair === this.content.pair;
    if (text.trim() === "" && !isOpenedText) {
      throw new RangeError("Type a text: one word is enough.");
    }
    const fields = this.experiments.format(experiment);
    const run = this.live.run(text, pair, changesOf(experiment));
    const isChanged = fields !== this.experiments.format({ ...this.experiments.opened, text, pair });
    const other = isChanged && !isOpenedText ? this.live.run(text, pair) : this.openedRun;
    const { title, facts, start } = this.content;
    const shown = printable(pair === null ? text : `${text} / ${pair}`);
    return new Walk({ title, facts, start, text: shown, ...this.live.data(run, fields ? other : null) });
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

class LivePage extends Page {
  /** @param {LiveContent} content */
  constructor(content) {
    const laboratory = new Laboratory(content);
    const { experiment, walk, problem } = laboratory.open(window.location.hash || content.start);
    super(walk, laboratory.experiments.format(experiment));
    this.laboratory = laboratory;
    this.experiment = experiment;
    this.controls = new Controls(laboratory.experiments, laboratory.heads, (changed, isTyping) =>
      this.change(changed, isTyping),
    );
    byId("calculation").append(byId("overwrite"));
    byId("overwrite").addEventListener("submit", (event) => {
      event.preventDefault();
      this.overwrite(inputById("number").value);
    });
    this.showControls(problem);
  }

  /**
   * Compute a changed experiment and show it at the same step and cell.
   * @param {Experiment} changed
   * @param {boolean} isTyping - More changes follow: no entry is made that the back button returns to.
   */
  change(changed, isTyping) {
    const experiment = this.laboratory.experiments.possible(changed);
    try {
      this.showExperiment(experiment, this.laboratory.walk(experiment));
    } catch (error) {
      this.controls.showProblem(messageOf(error));
      return;
    }
    this.address.write(this.format(this.state), !isTyping);
  }

  /**
   * @param {Experiment} experiment
   * @param {Walk} walk
   * @param {string} [problem]
   */
  showExperiment(experiment, walk, problem = "") {
    this.experiment = experiment;
    this.replaceWalk(walk, this.laboratory.experiments.format(experiment));
    this.showControls(problem);
  }

  /** @param {string} problem */
  showControls(problem) {
    this.controls.show(this.experiment, (path, cell) => this.nameOf(path, cell));
    this.controls.showProblem(problem);
  }

  /**
   * Return the name of a cell, with its step.
   * @param {string} path
   * @param {number[]} cell
   */
  nameOf(path, cell) {
    const { aliases } = this.laboratory.content.templates;
    const step = this.walk.steps.find((each) => each.path === path || aliases[each.path]?.includes(path));
    if (!step) {
      return path;
    }
    const places = step.axes.map((axis, n) => (axis.size > 1 ? positionText(this.walk, axis, cell[n]) : ""));
    return [stepTitle(step), ...places].filter(Boolean).join(", ");
  }

  /** Show the experiment and the state of the address. */
  readAddress() {
    const hash = window.location.hash || this.walk.data.start;
    if (this.laboratory.experiments.format(this.laboratory.experiments.parse(hash)) !== this.fields) {
      const { experiment, walk, problem } = this.laboratory.open(hash);
      this.showExperiment(experiment, walk, problem);
    }
    super.readAddress();
  }

  /**
   * Overwrite the number of the selected cell.
   * @param {string} typed
   */
  overwrite(typed) {
    const number = Number(typed.trim().replace("−", "-").replace(",", "."));
    const isNumber = typed.trim() !== "" && Math.abs(number) <= MAX_NUMBER;
    setText(byId("overwrite-problem"), isNumber ? "" : `Type a number from −${MAX_NUMBER} to ${MAX_NUMBER}.`);
    const place = this.placeOfCell();
    if (isNumber && place) {
      this.change({ ...this.experiment, cells: { ...this.experiment.cells, [place]: number } }, false);
    }
  }

  /** Return the place of the shown cell, as an experiment names it, or null if it was not computed by the network. */
  placeOfCell() {
    const { tensor, step } = this;
    if (!tensor || !isComputed(step)) {
      return null;
    }
    const [row, column] = this.state.pin ?? [this.state.row, this.state.column];
    const path = this.laboratory.content.templates.aliases[step.path]?.at(-1) ?? step.path;
    return `${path}:${tensor.coordinates(tensor.index(this.state.slice, row, column)).join(",")}`;
  }

  show() {
    super.show();
    byId("overwrite").hidden = !isComputed(this.step);
  }
}

/** @param {unknown} error */
function messageOf(error) {
  if (error instanceof RangeError) {
    return error.message;
  }
  throw error;
}
