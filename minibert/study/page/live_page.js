// The live page: it computes the numbers that the page of a step-through shows.

class LivePage extends Page {
  /** @param {LiveContent} content */
  constructor(content) {
    openNamedExperiment(content.experiments);
    const laboratory = new Laboratory(content);
    const { experiment, walk, problem } = laboratory.open(window.location.hash || content.start);
    super(walk, laboratory.experiments.format(experiment));
    this.laboratory = laboratory;
    this.experiment = experiment;
    this.wasTyping = false;
    const { experiments, heads, mask } = laboratory;
    this.controls = new Controls(experiments, heads, mask, (changed, isTyping) => this.change(changed, isTyping));
    this.choice = new ExperimentChoice(content.experiments, (address) => this.openAt(address));
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
   * @param {boolean} isTyping - More changes of the same kind follow. The back button takes all of them back together.
   */
  change(changed, isTyping) {
    const experiment = this.laboratory.experiments.possible(changed);
    const isOpened = this.laboratory.experiments.format(experiment) === "";
    try {
      this.showExperiment(experiment, this.laboratory.walk(experiment), "", !isOpened);
    } catch (error) {
      this.controls.showProblem(messageOf(error));
      return;
    }
    this.address.write(this.format(this.state), !(isTyping && this.wasTyping));
    this.wasTyping = isTyping;
  }

  /**
   * @param {Experiment} experiment
   * @param {Walk} walk
   * @param {string} [problem]
   * @param {boolean} [keepsQuestion] - That of the experiment that the reader began with.
   */
  showExperiment(experiment, walk, problem = "", keepsQuestion = false) {
    this.experiment = experiment;
    this.replaceWalk(walk, this.laboratory.experiments.format(experiment));
    this.showControls(problem, keepsQuestion);
  }

  /**
   * @param {string} problem
   * @param {boolean} [keepsQuestion]
   */
  showControls(problem, keepsQuestion = false) {
    this.controls.show(this.experiment, (path, cell) => this.nameOf(path, cell));
    this.controls.showProblem(problem);
    const { experiments } = this.laboratory;
    this.choice.show((address) => experiments.format(experiments.parse(address)) === this.fields, keepsQuestion);
  }

  /**
   * Show the experiment and the state of an address.
   * @param {string} hash
   */
  openAt(hash) {
    const { experiment, walk, problem } = this.laboratory.open(hash);
    this.state = parseHash(hash, walk);
    this.showExperiment(experiment, walk, problem);
    this.address.write(this.format(this.state), true);
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
    return [`${step.group}: ${step.name}`, ...places].filter(Boolean).join(", ");
  }

  /** Show the experiment and the state of the address. */
  readAddress() {
    openNamedExperiment(this.laboratory.content.experiments);
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
      inputById("number").value = "";
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
