// The state of the page, what it shows, and what a key does.

class Page {
  /**
   * @param {Walk} walk
   * @param {string} fields - What stands at the end of the hash of every address, after the state.
   */
  constructor(walk, fields = "") {
    this.walk = walk;
    this.fields = fields;
    this.address = new Address();
    this.state = parseHash(window.location.hash || walk.data.start, walk);
    /** @type {[number, number] | null} The cell under the pointer. */
    this.hovered = null;
    /** @type {Step | null} */
    this.shownStep = null;
    /** @type {Set<string>} Cells whose number the reader has predicted. */
    this.predicted = new Set();
    /** @type {{key: string, order: Int32Array} | null} */
    this.sorted = null;
    this.announcementTimer = 0;
    /** @type {(axis: Axis | undefined, position: number) => string} */
    const label = (axis, position) => this.walk.label(axis, position);
    this.grid = new Grid(byId("matrix"), label);
    this.otherGrid = new Grid(byId("other"), label);
    this.differenceGrid = new Grid(byId("difference"), label);
    /** @type {(step: string, slice: number, row: number, column: number) => string} */
    const address = (step, slice, row, column) => this.hash({ view: "step", step, slice, row, column });
    this.details = new Details(walk, address);
    this.heads = new Heads(byId("heads"), walk, address);
    this.steps = new StepList(byId("step-list"), (step) => this.hash({ view: "step", step: step.path }));
    this.showWalk();
    byId("heads-button").hidden = walk.data.overview.length === 0;
    this.showUnknownStep();
  }

  /** Show what is the same for all steps of a walk. */
  showWalk() {
    this.steps.showWalk(this.walk);
    showHeader(this.walk, (step, row, column) => this.hash({ view: "step", step, slice: 0, row, column, sortedBy: row }));
  }

  /**
   * Show another walk at the same step and cell.
   * @param {Walk} walk
   * @param {string} fields
   */
  replaceWalk(walk, fields) {
    this.walk = walk;
    this.fields = fields;
    this.hovered = null;
    this.shownStep = null;
    this.sorted = null;
    this.predicted.clear();
    this.details.walk = walk;
    this.state = possible(this.state, walk);
    this.heads.replaceWalk(walk);
    this.showWalk();
    this.show();
  }

  /** @param {State} state */
  format(state) {
    return formatHash(state) + this.fields;
  }

  /** Say that the page does not have the step of the address. */
  showUnknownStep() {
    const name = new URLSearchParams(window.location.hash.slice(1)).get("step");
    const isUnknown = name !== null && this.walk.step(name) === null;
    setText(byId("unknown"), isUnknown ? `This page has no step ${name}. It shows the first step.` : "");
  }

  /** @param {Partial<State>} change */
  hash(change) {
    return this.format({ ...this.state, pin: null, sortedBy: null, predict: false, ...change });
  }

  get step() {
    return /** @type {Step} */ (this.walk.step(this.state.step));
  }

  get tensor() {
    return this.walk.tensor(this.state.step);
  }

  /**
   * Change the state and show it.
   * @param {Partial<State>} change
   */
  go(change) {
    const before = this.state;
    this.state = possible({ ...before, ...change }, this.walk);
    const isEntry = /** @type {(keyof State)[]} */ (["view", "step", "slice"]).some((key) => this.state[key] !== before[key]);
    this.address.write(this.format(this.state), isEntry);
    setText(byId("unknown"), "");
    this.show();
  }

  /** Show the state that the reader, or the back button, has put into the address. */
  readAddress() {
    this.address.cancel();
    this.state = parseHash(window.location.hash || this.walk.data.start, this.walk);
    this.hovered = null;
    const hadFocus = document.activeElement !== document.body;
    this.show();
    this.showUnknownStep();
    if (hadFocus && document.activeElement === document.body) {
      this.focus(); // what had it is gone
    }
  }

  /** Move the focus to what is shown. */
  focus() {
    if (this.state.view === "heads") {
      byId("heads").querySelector("a")?.focus();
    } else {
      this.grid.focus();
    }
  }

  /**
   * Go to another step. The row and column stay where they fit: the same token, the same head.
   * @param {Step | null | undefined} step
   */
  goToStep(step) {
    if (step) {
      this.go({ view: "step", step: step.path, pin: null, sortedBy: null });
    }
  }

  show() {
    const { state, step, tensor } = this;
    const isOverview = state.view === "heads";
    byId("heads").hidden = !isOverview;
    byId("step").hidden = isOverview;
    byId("details").hidden = isOverview;
    setAttribute(byId("heads-button"), "aria-pressed", String(isOverview));
    setAttribute(byId("predict-button"), "aria-pressed", String(state.predict));
    byId("predictions").hidden = state.predict; // they have the numbers of the last step
    if (isOverview) {
      this.heads.show();
    }
    if (step !== this.shownStep) {
      this.shownStep = step;
      this.hovered = null;
      this.steps.show(step);
      this.details.showStep(step);
      setText(byId("name"), [step.group, step.name].join(": "));
      this.showButtons(step);
    }
    setText(byId("place"), sliceText(step.axes, state.slice));
    setAttributes(byId("slice-before"), { disabled: state.slice === 0 });
    setAttributes(byId("slice-after"), { disabled: state.slice === (tensor?.slices ?? 1) - 1 });
    setText(byId("missing"), tensor ? "" : (step.omitted ?? ""));
    for (const id of ["matrix", "legend", "window-buttons", "calculation"]) {
      byId(id).hidden = !tensor;
    }
    if (tensor && !isOverview) {
      this.showMatrices(step, tensor);
      this.showCell(step, tensor);
    }
  }

  /** @param {number} width - Width of the middle column in pixels. */
  fit(width) {
    for (const grid of [this.grid, this.otherGrid, this.differenceGrid]) {
      grid.fit(width);
    }
    this.show();
  }

  /** @param {Step} step */
  showButtons(step) {
    const position = this.walk.steps.indexOf(step);
    setAttributes(byId("previous"), { disabled: position === 0 });
    setAttributes(byId("next"), { disabled: position === this.walk.steps.length - 1 });
    setAttributes(byId("layer-before"), { disabled: !this.walk.inOtherLayer(step, -1) });
    setAttributes(byId("layer-after"), { disabled: !this.walk.inOtherLayer(step, 1) });
    const slices = this.tensor?.slices ?? 1;
    byId("slice-before").hidden = slices < 2;
    byId("slice-after").hidden = slices < 2;
  }

  /**
   * @param {Step} step
   * @param {Tensor} tensor
   */
  showMatrices(step, tensor) {
    const { slice, row, column, pin, sortedBy } = this.state;
    const [rowAxis, columnAxis] = matrixAxes(step.axes);
    const caption = `${step.name} (${shapeText(step.axes)})`;
    /** @type {Matrix} */
    const matrix = {
      caption,
      path: step.path,
      tensor,
      slice,
      rowAxis,
      columnAxis,
      order: this.order(tensor),
      cursor: [row, column],
      pin,
      hidden: (cellRow, cellColumn) => this.isHidden(cellRow, cellColumn),
    };
    this.grid.show(matrix);
    setText(byId("window"), this.grid.windowText());
    const { rows, columns } = tensor;
    const { rowCount, columnCount } = this.grid;
    setAttributes(byId("rows-before"), { hidden: rowCount === rows, disabled: row === 0 });
    setAttributes(byId("rows-after"), { hidden: rowCount === rows, disabled: row === rows - 1 });
    const position = this.grid.positionOf(column);
    setAttributes(byId("columns-before"), { hidden: columnCount === columns, disabled: position === 0 });
    setAttributes(byId("columns-after"), { hidden: columnCount === columns, disabled: position === columns - 1 });
    byId("absent").hidden = tensor.rowPositions === null;
    setAttribute(byId("sort"), "aria-pressed", String(sortedBy !== null));
    this.showOther(step, matrix);
  }

  /**
   * Show a second tensor and its difference from the first, if the step has one.
   * @param {Step} step
   * @param {Matrix} matrix
   */
  showOther(step, matrix) {
    const other = step.other && this.walk.tensor(step.other.tensor);
    byId("other").hidden = !other;
    byId("difference").hidden = !other;
    if (step.other && other) {
      const { label, tensor, isBefore } = step.other;
      const [name, path, reference, referencePath] = isBefore
        ? [step.name, step.path, label, tensor]
        : [label, tensor, step.name, step.path];
      this.otherGrid.show({ ...matrix, caption: label, tensor: other });
      this.differenceGrid.show({
        ...matrix,
        caption: `${name} minus ${reference}`,
        tensor: this.walk.difference(path, referencePath),
      });
    }
  }

  /**
   * Show the calculation of the pinned cell, else of the cell under the pointer, else of the selected cell.
   * @param {Step} step
   * @param {Tensor} tensor
   */
  showCell(step, tensor) {
    const [row, column] = this.state.pin ?? this.hovered ?? [this.state.row, this.state.column];
    const isHidden = this.isHidden(row, column);
    const isPinned = this.state.pin !== null;
    const isHovered = this.hovered !== null && (row !== this.state.row || column !== this.state.column);
    this.details.showCell({ step, tensor, slice: this.state.slice, row, column, isHidden, isHovered, isPinned });
    byId("prediction").hidden = !isHidden;
    const place = `${row},${column},${this.state.slice},${step.path}`;
    if (byId("verdict").dataset.place !== place) {
      byId("verdict").dataset.place = place;
      setText(byId("verdict"), "");
      byId("reveal").hidden = true;
      /** @type {HTMLInputElement} */ (byId("typed")).value = "";
    }
    this.announce(isHidden);
  }

  /** Tell a screen reader which cell is shown, once the reader stops moving. */
  announce(/** @type {boolean} */ isHidden) {
    window.clearTimeout(this.announcementTimer);
    this.announcementTimer = window.setTimeout(() => {
      const value = isHidden ? "hidden until you predict it" : byId("result").textContent;
      setText(byId("announcement"), `${this.step.name}, ${byId("cell").textContent}: ${value}`);
    }, 300);
  }

  /**
   * Return the order of the columns: the largest number of the row of `sortedBy` first. Null: their own order.
   * @param {Tensor} tensor
   */
  order(tensor) {
    const { sortedBy, slice, step } = this.state;
    if (sortedBy === null) {
      return null;
    }
    const key = `${step} ${slice} ${sortedBy}`;
    if (this.sorted?.key !== key) {
      const start = tensor.index(slice, sortedBy, 0);
      /** @param {number} column */
      const value = (column) => tensor.at(start + column) ?? Number.NEGATIVE_INFINITY;
      this.sorted = {
        key,
        order: Int32Array.from({ length: tensor.columns }, (_, n) => n).sort((a, b) => value(b) - value(a)),
      };
    }
    return this.sorted.order;
  }

  /**
   * @param {number} row
   * @param {number} column
   */
  isHidden(row, column) {
    return (
      this.state.predict &&
      this.details.isCalculated(this.tensor?.index(this.state.slice, row, column) ?? 0) &&
      row === this.state.row &&
      column === this.state.column &&
      !this.predicted.has(this.cellKey(row, column))
    );
  }

  /**
   * @param {number} row
   * @param {number} column
   */
  cellKey(row, column) {
    return `${this.state.step} ${this.state.slice} ${row} ${column}`;
  }

  /** Compare the typed number with the recorded one. */
  checkPrediction() {
    const { slice, row, column } = this.state;
    const cell = this.tensor?.index(slice, row, column) ?? 0;
    const value = this.tensor?.at(cell);
    if (value === undefined) {
      return;
    }
    const { expression } = this.step;
    const mistakes = this.step.mistakes.map(({ message, tensor }) => ({ message, value: this.walk.tensor(tensor)?.at(cell) }));
    const omissions = this.step.omissions.map(({ message, ...omission }) => ({
      message,
      value: expression === null ? undefined : new Expression(changed(expression, omission), this.walk).value(cell),
    }));
    const size = expression === null ? 0 : magnitude(new Expression(expression, this.walk), cell);
    const field = /** @type {HTMLInputElement} */ (byId("typed"));
    const { verdict, message } = judge(field.value, value, [...mistakes, ...omissions], size);
    if (verdict === "right") {
      this.reveal(message);
    } else {
      setText(byId("verdict"), message);
      byId("reveal").hidden = false;
      field.focus();
      field.select();
    }
    setAttribute(byId("verdict"), "data-verdict", verdict);
  }

  /**
   * Show the hidden number.
   * @param {string} message - Stands before the number.
   */
  reveal(message) {
    const { slice, row, column } = this.state;
    this.predicted.add(this.cellKey(row, column));
    this.show();
    setText(byId("verdict"), `${message} The number is ${exact(this.tensor?.at(this.tensor.index(slice, row, column)))}.`);
    setAttribute(byId("verdict"), "data-verdict", null);
    this.grid.focus();
  }

  /** Hide the numbers until the reader predicts them, or stop hiding them. */
  togglePredict() {
    this.go({ predict: !this.state.predict, view: "step", pin: null });
    const { predict, row, column } = this.state;
    if (this.isHidden(row, column)) {
      byId("typed").focus();
    } else if (predict) {
      setText(byId("verdict"), "This number is not hidden: the page does not have the calculation of this cell.");
    }
  }

  /**
   * Handle a key anywhere in the page. Return whether it did something.
   * @param {string} key
   */
  press(key) {
    const { walk, step, state } = this;
    const position = walk.steps.indexOf(step);
    switch (key) {
      case "ArrowLeft":
      case "p":
        this.goToStep(walk.steps[position - 1]);
        return true;
      case "ArrowRight":
      case "n":
        this.goToStep(walk.steps[position + 1]);
        return true;
      case "ArrowUp":
      case "ArrowDown": {
        const other = walk.inOtherLayer(step, key === "ArrowUp" ? -1 : 1);
        this.goToStep(other);
        return other !== null;
      }
      case "[":
      case "]":
        this.go({ slice: clamp(state.slice + (key === "[" ? -1 : 1), this.tensor?.slices ?? 1) });
        return true;
      case "h":
        this.go({ view: state.view === "heads" ? "step" : "heads" });
        this.focus();
        return true;
      case "e":
        this.togglePredict();
        return true;
      case "m":
      case "c":
        this.go({ view: "step" });
        if (key === "m") {
          this.grid.focus();
        } else {
          byId("details").focus();
        }
        return true;
      case "?":
        /** @type {HTMLDialogElement} */ (byId("keys")).showModal();
        return true;
      case "Escape":
        if (state.pin) {
          this.go({ pin: null });
          this.grid.focus();
        } else {
          byId("main").focus();
        }
        return true;
    }
    return false;
  }

  /**
   * Handle a key in the matrix.
   * @param {string} key
   * @param {boolean} isLargeStep
   */
  pressInGrid(key, isLargeStep) {
    const target = this.grid.target(key, isLargeStep);
    if (target) {
      this.select(target);
      this.grid.focus();
      return true;
    }
    if (key === "Enter" || key === " ") {
      this.pin([this.state.row, this.state.column]);
      return true;
    }
    return false;
  }

  /**
   * Follow a link in the page. If the link is gone then, the focus moves to the matrix.
   * @param {HTMLAnchorElement} link
   * @param {Partial<State>} cell - Of the map in the link that was clicked.
   */
  follow(link, cell) {
    const target = parseHash(link.hash, this.walk);
    const kept = link.closest("nav") ? this.cellIn(target.step) : {};
    this.go({ ...target, ...kept, ...cell, predict: this.state.predict });
    if (link.getClientRects().length === 0) {
      this.grid.focus();
    }
  }

  /**
   * Return the slice, row and column of the selected cell, as far as another step has the same axes, or else of its first cell.
   * @param {string} path
   * @returns {Partial<State>}
   */
  cellIn(path) {
    const [here, there] = [this.step.axes, this.walk.step(path)?.axes ?? []];
    /** @param {number} position - Counted from the end. */
    const agrees = (position) => {
      const [one, other] = [here.at(position), there.at(position)];
      return one !== undefined && one.size === other?.size && (one.name === other.name || (one.labels ?? "") === other.labels);
    };
    const hasSameSlices =
      here.length === there.length &&
      here.slice(0, -2).every((axis, n) => axis.size === there[n].size && axis.name === there[n].name);
    const { slice, row, column } = this.state;
    const tensor = this.walk.tensor(path);
    const first = { slice: 0, row: 0, ...tensor?.firstCell(), column: 0 };
    const kept = {
      slice: hasSameSlices ? slice : first.slice,
      row: agrees(-2) ? row : first.row,
      column: agrees(-1) ? column : first.column,
    };
    return tensor?.at(tensor.index(kept.slice, kept.row, kept.column)) === undefined ? first : kept;
  }

  /** @param {[number, number]} cell */
  select([row, column]) {
    this.hovered = null;
    this.go({ row, column });
  }

  /** @param {[number, number]} cell */
  pin(cell) {
    const isSame = this.state.pin?.join() === cell.join();
    this.go({ row: cell[0], column: cell[1], pin: isSame ? null : cell });
  }

  /** @param {[number, number] | null} cell */
  hover(cell) {
    const isAnswering = this.isHidden(this.state.row, this.state.column);
    if (this.hovered?.join() !== cell?.join() && !this.state.pin && !isAnswering && this.tensor) {
      this.hovered = cell;
      this.showCell(this.step, this.tensor);
    }
  }
}
