// The right column: formula, calculation of the selected cell, and inputs.

/**
 * @typedef {object} Shown
 * @property {Step} step
 * @property {Tensor} tensor
 * @property {number} slice
 * @property {number} row
 * @property {number} column
 * @property {boolean} isHidden - The reader has not predicted the number yet.
 * @property {boolean} isHovered - The cell under the pointer, and not the selected one.
 * @property {boolean} isPinned
 */

/** Signs of formulas, and sentences that explain them. */
const NOTES = [
  ["⊙", "⊙ multiplies each number by the one at the same place."],
  ["erf", "erf is the error function, a curve from −1 to 1."],
  ["ε", "ε is a very small number, so that the denominator is not zero."],
];

class Details {
  /**
   * @param {Walk} walk
   * @param {(path: string, slice: number, row: number, column: number) => string} address
   */
  constructor(walk, address) {
    this.walk = walk;
    this.address = address;
    this.showsAllTerms = false;
    /** @type {Map<string, {map: InputMap | null, cells: HTMLElement, link: HTMLElement}>} */
    this.inputs = new Map();
    /** @type {Expression | null} */
    this.expression = null;
    /** @type {Shown | null} */
    this.selection = null;
    for (const id of ["terms", "where"]) {
      byId(id).addEventListener("click", (event) => {
        if (event.target instanceof HTMLButtonElement && this.selection) {
          this.showsAllTerms = !this.showsAllTerms;
          this.showTerms(this.selection);
          byId(id).querySelector("button")?.focus();
        }
      });
    }
  }

  /**
   * Show what belongs to a step: its explanation, formula, shape, inputs and users.
   * @param {Step} step
   */
  showStep(step) {
    this.walk.layer = step.layer;
    this.expression = step.expression === null ? null : new Expression(step.expression, this.walk);
    this.showsAllTerms = false;
    setAttributes(byId("result"), { "data-value": null, "data-computed": null });
    setText(byId("explanation"), step.explanation);
    byId("formula").replaceChildren(...this.formula(step.formula));
    byId("equation").hidden = step.equationFormulas.length === 0;
    setText(byId("equation-name"), `Equation ${step.equation}`);
    const parts = step.equationFormulas.map((part) => element("div", {}, ...this.formula(part)));
    byId("equation-formula").replaceChildren(...parts);
    const notes = NOTES.filter(([sign]) => byId("equation-formula").textContent?.includes(sign));
    byId("equation-formula").append(...notes.map(([, note]) => element("p", { class: "shape" }, note)));
    byId("shape").replaceChildren(...symbolParts(step.symbol), step.symbol && ": ", shapeText(step.axes));
    setText(byId("code"), step.code ?? "");
    const omitted = this.walk.tensor(step.path) ? step.omitted : null; // without numbers, the middle says it
    byId("omitted").replaceChildren(step.failure ?? omitted ?? "");
    byId("omitted").classList.toggle("failure", step.failure !== null);
    this.inputs.clear();
    const inputs = this.leaves(step);
    byId("inputs-heading").hidden = inputs.length === 0;
    byId("inputs").replaceChildren(...inputs.map((path) => this.input(step, path)));
    const users = this.walk.users.get(step.path) ?? [];
    byId("users").replaceChildren(...users.map((user) => element("li", {}, this.stepLink(user.path))));
    byId("users-heading").hidden = users.length === 0;
  }

  /**
   * Return whether the page has the calculation of a cell of the shown step.
   * @param {number} cell
   */
  isCalculated(cell) {
    return this.expression?.isComplete(cell) ?? false;
  }

  /** @param {number | null} index */
  formula(index) {
    const tree = index === null ? null : this.walk.data.formulas[index];
    return tree ? [mathFromTree(tree)] : [];
  }

  /**
   * Return the paths of all leaves of a step's expression, or its inputs.
   * @param {Step} step
   */
  leaves(step) {
    const paths = new Set(leavesOf(step.expression).map(({ leaf }) => leaf));
    return paths.size > 0 ? [...paths] : step.sources ? [step.sources.step] : step.inputs;
  }

  /**
   * Return the list entry of an input: its name, its shape, the cells in use, and a heat map.
   * @param {Step} step
   * @param {string} path
   */
  input(step, path) {
    const tensor = this.walk.tensor(path);
    const shape = element("span", { class: "shape" }, shapeText(this.walk.axes(path)));
    const cells = element("p", { class: "cells" });
    const isCalculated = this.walk.tensor(step.path) !== null;
    const isDrawn = tensor && tensor.rowPositions === null && tensor.columns > 1;
    const map = isCalculated && isDrawn && tensor.values.some((value) => value !== 0) ? new InputMap(tensor) : null;
    const link = this.stepLink(path);
    this.inputs.set(path, { map, cells, link });
    const symbol = symbolParts(this.walk.symbol(path));
    const name = symbol.length > 0 ? [element("span", { class: "symbol" }, ...symbol), " = "] : [];
    return element("li", { "data-input": path }, ...name, link, " ", shape, ...(map ? [map.root] : []), cells);
  }

  /**
   * Return a link to a step, or the name of a parameter.
   * @param {string} path
   */
  stepLink(path) {
    const step = this.walk.step(path);
    if (!step) {
      return element("code", {}, ...breakable(path));
    }
    const { slice, row } = this.walk.tensor(path)?.firstCell() ?? { slice: 0, row: 0 };
    return element("a", { href: this.address(path, slice, row, 0), title: step.path }, stepTitle(step));
  }

  /**
   * Show the calculation of a cell.
   * @param {Shown} selection
   */
  showCell(selection) {
    this.selection = selection;
    const { step, tensor, slice, row, column, isHidden } = selection;
    const [rowAxis, columnAxis] = matrixAxes(step.axes);
    const place = [
      sliceText(step.axes, slice),
      positionText(this.walk, rowAxis, row),
      positionText(this.walk, columnAxis, column),
    ];
    setText(byId("cell"), [...place, originText(this.walk, step, column)].filter(Boolean).join(", "));
    byId("pinned").hidden = !selection.isPinned;
    setText(byId("cell-heading"), selection.isHovered ? "Cell under the pointer" : "Selected cell");
    const value = tensor.at(tensor.index(slice, row, column));
    const result = byId("result");
    setAttribute(result, "data-computed", null);
    setText(result, isHidden ? "?" : resultText(tensor, value));
    setAttribute(result, "data-value", isHidden || value === undefined ? null : String(value));
    const isComplete = this.expression?.isComplete(tensor.index(slice, row, column)) ?? false;
    byId("numbers").hidden = !isComplete;
    byId("terms").hidden = !isComplete;
    byId("where").hidden = !isComplete;
    if (isComplete) {
      this.showNumbers(selection);
      this.showTerms(selection);
    }
    if (this.expression && step.failure === null) {
      byId("omitted").replaceChildren(...(isComplete ? [] : this.missing(selection)));
    }
    this.showInputs(selection);
  }

  /**
   * Say that the page does not have all numbers that a cell was computed from, with a link to a cell of which it has them.
   * @param {Shown} selection
   */
  missing({ step, tensor, slice, row, column }) {
    const text = "The page does not have all numbers that this one was computed from, to stay small.";
    const distances = Array.from({ length: tensor.columns }, (_, n) => n);
    const columns = distances.flatMap((distance) => [column - distance, column + distance]);
    const nearest = columns.find(
      (other) => other >= 0 && other < tensor.columns && this.expression?.isComplete(tensor.index(slice, row, other)),
    );
    if (nearest === undefined) {
      return [text];
    }
    const link = element("a", { href: this.address(step.path, slice, row, nearest) }, `column ${nearest}`);
    return [`${text} It has those of `, link, "."];
  }

  /** @param {Shown} selection */
  showNumbers({ tensor, slice, row, column, isHidden }) {
    const numbers = byId("numbers");
    const cell = tensor.index(slice, row, column);
    const computed = this.expression?.value(cell);
    setAttribute(
      byId("result"),
      "data-computed",
      isHidden || computed === undefined || Number.isNaN(computed) ? null : String(computed),
    );
    if (!this.expression || this.expression.leaf !== null) {
      numbers.replaceChildren();
      return;
    }
    const expanded = substituted(this.expression, cell, true);
    const reduced = this.expression.isContraction ? expanded : substituted(this.expression, cell, false);
    const lines = reduced.textContent === expanded.textContent ? [expanded] : [expanded, reduced];
    const shown = isHidden ? lines.filter((line) => !isNumber(line)) : lines;
    numbers.replaceChildren(...shown.map((line) => element("div", {}, displayed(line))));
  }

  /** @param {Shown} selection */
  showTerms({ tensor, slice, row, column, isHidden }) {
    const cell = tensor.index(slice, row, column);
    byId("terms").replaceChildren(...(this.expression ? this.termTables(this.expression, cell, isHidden) : []));
    byId("where").replaceChildren(...(this.expression ? this.whereParts(this.expression, cell, isHidden) : []));
  }

  /**
   * @param {Expression} expression
   * @param {number} cell
   * @param {boolean} isHidden
   */
  termTables(expression, cell, isHidden) {
    return contractionsOf(expression, cell).map((contraction) =>
      termTable(this.walk, contraction, this.showsAllTerms, isHidden, this.address),
    );
  }

  /**
   * Return the calculation of the input of a cell that has only one, and needs no sum: a score is a scaled dot product.
   * @param {Expression} expression
   * @param {number} cell
   * @param {boolean} isHidden
   * @returns {HTMLElement[]}
   */
  whereParts(expression, cell, isHidden) {
    const only = this.onlyInput(expression, cell);
    if (!only) {
      return [];
    }
    const numbers = only.expression.leaf === null ? [displayed(substituted(only.expression, only.cell, true))] : [];
    return [
      element("p", {}, "where ", ...symbolParts(this.walk.symbol(only.step.path)), " at ", only.link),
      element("div", { class: "scroll", tabindex: 0, role: "group", "aria-label": "Formula with numbers" }, ...numbers),
      ...this.termTables(only.expression, only.cell, isHidden),
      ...this.whereParts(only.expression, only.cell, isHidden),
    ];
  }

  /**
   * Return the only recorded cell that a cell was computed from, if it needs no sum.
   * @param {Expression} expression
   * @param {number} cell
   */
  onlyInput(expression, cell) {
    const sources = ownSources(expression, cell).filter(({ leaf }) => this.walk.step(leaf.leaf ?? "")?.expression);
    const path = sources[0]?.leaf.leaf;
    const step = path ? this.walk.step(path) : undefined;
    if (sources.length !== 1 || !step?.expression || contractionsOf(expression, cell).length > 0) {
      return null;
    }
    const inner = new Expression(step.expression, this.walk);
    if (!inner.isComplete(sources[0].cell)) {
      return null;
    }
    const axes = this.walk.axes(step.path);
    const at = coordinates(
      sources[0].cell,
      axes.map((axis) => axis.size),
    );
    return { step, expression: inner, cell: sources[0].cell, link: this.cellsLink(step.path, axes, { low: at, high: at }) };
  }

  /** @param {Shown} selection */
  showInputs({ step, tensor, slice, row, column }) {
    const cell = tensor.index(slice, row, column);
    const boxes = this.expression ? boxesOf(this.expression, cell) : rangeBoxes(step, column);
    for (const [path, { map, cells, link }] of this.inputs) {
      const own = boxes.get(path) ?? [];
      const axes = this.walk.axes(path);
      const links = own.map((/** @type {{low: number[], high: number[]}} */ box) => this.cellsLink(path, axes, box));
      cells.replaceChildren(...links);
      map?.show(own);
      const target = cells.querySelector("a")?.getAttribute("href");
      if (link instanceof HTMLAnchorElement && target) {
        link.setAttribute("href", target);
      }
    }
  }

  /**
   * Return the name of a box of cells, as a link to the step that computed them.
   * @param {string} path
   * @param {Axis[]} axes
   * @param {{low: number[], high: number[]}} box
   */
  cellsLink(path, axes, box) {
    const parts = axes.map((axis, n) => {
      if (axis.size === 1) {
        return "";
      }
      const name = box.low[n] === box.high[n] ? singular(axis.name) : axis.name;
      const range = box.low[n] === box.high[n] ? `${box.low[n]}` : `${box.low[n]}–${box.high[n]}`;
      const label = box.low[n] === box.high[n] ? isolated(this.walk.label(axis, box.low[n])) : "";
      return [name, range, label].filter(Boolean).join(" ");
    });
    const text = parts.filter(Boolean).join(", ") || "the number";
    const missing = this.walk.tensor(path)?.at(indexOf(box.low, axes)) === undefined ? " (not in this page)" : "";
    const { slice, row, column } = matrixCell(box.low, axes);
    return this.walk.step(path)
      ? element("a", { href: this.address(path, slice, row, column) }, text)
      : element("span", {}, text + missing);
  }
}

/**
 * @param {Tensor} tensor
 * @param {number | undefined} value
 */
function resultText(tensor, value) {
  if (value === undefined) {
    return "· (this number is not in the page)";
  }
  return tensor.isBoolean ? String(value !== 0) : exact(value);
}

/**
 * Return the cells of the step before that an entry of a text was made from.
 * @param {Step} step
 * @param {number} entry
 * @returns {Map<string, {low: number[], high: number[]}[]>}
 */
function rangeBoxes(step, entry) {
  const [start, end] = step.sources?.ranges[entry] ?? [0, 0];
  return step.sources && end > start ? new Map([[step.sources.step, [{ low: [start], high: [end - 1] }]]]) : new Map();
}

/**
 * Return what an entry of a text was made from, in words.
 * @param {Walk} walk
 * @param {Step} step
 * @param {number} entry
 */
function originText(walk, step, entry) {
  const [start, end] = step.sources?.ranges[entry] ?? [0, -1];
  const axis = walk.step(step.sources?.step ?? "")?.axes.at(-1);
  if (!axis || end < start) {
    return "";
  }
  const characters = Array.from({ length: end - start }, (_, n) => walk.label(axis, start + n)).join("");
  return end === start ? "added by the tokenizer" : `from ${isolated(characters)}`;
}

/**
 * Return the line "= …" of a calculation.
 * @param {Element} line
 */
function displayed(line) {
  const formula = math("math", math("mo", "="), line);
  setAttributes(formula, { displaystyle: "true" });
  return formula;
}

/**
 * Return the axes of the rows and of the columns.
 * @param {Axis[]} axes
 * @returns {[Axis | undefined, Axis | undefined]}
 */
function matrixAxes(axes) {
  return [axes.at(-2), axes.at(-1)];
}

/**
 * Return the index into the flattened tensor.
 * @param {number[]} at
 * @param {Axis[]} axes
 */
function indexOf(at, axes) {
  return axes.reduce((index, axis, n) => index * axis.size + at[n], 0);
}

/**
 * Return the slice, row and column of a cell.
 * @param {number[]} at
 * @param {Axis[]} axes
 */
function matrixCell(at, axes) {
  return { slice: indexOf(at.slice(0, -2), axes.slice(0, -2)), row: at.at(-2) ?? 0, column: at.at(-1) ?? 0 };
}
