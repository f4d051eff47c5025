// The calculation of one cell: its formula with numbers, the terms of its sums, and the cells it was computed from.

const SHOWN_TERMS = 12;
const PRECEDENCE = { add: 1, sub: 1, mul: 2, neg: 2, div: 4, pow: 3, square: 3 };
const OPERATORS = { add: "+", sub: MINUS, mul: "·" };

/**
 * @typedef {{leaf: Expression, cell: number}} Source
 * @typedef {{position: number, factors: {value: number, source: Source | null}[], value: number}} Term
 * @typedef {{node: Expression, cell: number, terms: Term[]}} Contraction
 */

/**
 * Return the terms of a contraction, the largest first.
 * @param {Expression} node
 * @param {number} cell
 * @returns {Term[]}
 */
function sortedTerms(node, cell) {
  const isMaximum = node.op === "amax";
  const values = Array.from({ length: node.terms }, (_, position) => ({ position, value: node.term(cell, position) }));
  values.sort(isMaximum ? (a, b) => b.value - a.value : (a, b) => Math.abs(b.value) - Math.abs(a.value));
  return values.map(({ position, value }) => ({
    position,
    value,
    get factors() {
      return factorsOf(node, cell, position);
    },
  }));
}

/**
 * Return the factors of one term of a sum of products, or the recorded numbers that a term of another sum is computed from.
 * @param {Expression} node
 * @param {number} cell
 * @param {number} position
 */
function factorsOf(node, cell, position) {
  const cells = node.termCells(cell, position);
  if (PRODUCTS.has(node.op)) {
    return cells.map((argCell, n) => ({ value: node.args[n].value(argCell), source: node.args[n].source(argCell) }));
  }
  const sources = ownSources(node.args[0], cells[0]);
  return sources.map((source) => ({ value: source.leaf.value(source.cell), source }));
}

/**
 * Return the different recorded cells that a cell is computed from without a contraction in between.
 * @param {Expression} node
 * @param {number} cell
 * @returns {Source[]}
 */
function ownSources(node, cell) {
  const source = node.source(cell);
  if (source) {
    return [source];
  }
  if (node.isContraction) {
    return [];
  }
  const sources = node.args.flatMap((arg, position) => ownSources(arg, node.cellOf(position, cell)));
  const keys = sources.map((each) => `${each.leaf.leaf} ${each.cell}`);
  return sources.filter((_, n) => keys.indexOf(keys[n]) === n);
}

/**
 * Return the contractions that the value of a cell needs, the outermost first, each once.
 * @param {Expression} node
 * @param {number} cell
 * @returns {Contraction[]}
 */
function contractionsOf(node, cell) {
  /** @type {Contraction[]} */
  const found = [];
  /**
   * @param {Expression} inner
   * @param {number} innerCell
   */
  function visit(inner, innerCell) {
    if (inner.isContraction) {
      const terms = sortedTerms(inner, innerCell);
      const isNew = found.every(({ node: known, terms: others }) => known.op !== inner.op || !sameTerms(others, terms));
      if (isNew) {
        found.push({ node: inner, cell: innerCell, terms });
      }
      inner.termCells(innerCell, 0).forEach((argCell, position) => {
        visit(inner.args[position], argCell);
      });
      return;
    }
    if (inner.leaf === null && inner.op !== "stack") {
      inner.args.forEach((arg, position) => {
        visit(arg, inner.cellOf(position, innerCell));
      });
    }
  }
  visit(node, cell);
  return found;
}

/**
 * Return whether two contractions add the same numbers, as when a tensor is traced twice in one formula.
 * @param {Term[]} some
 * @param {Term[]} others
 */
function sameTerms(some, others) {
  return (
    some.length === others.length &&
    some.every((term, n) => Object.is(term.value, others[n].value) && term.position === others[n].position)
  );
}

/**
 * Return the boxes of cells that a cell was computed from: for each leaf, the smallest and largest index along each axis.
 * @param {Expression} node
 * @param {number} cell
 * @returns {Map<string, {low: number[], high: number[]}[]>}
 */
function boxesOf(node, cell) {
  /** @type {Map<Expression, {low: number[], high: number[]}>} */
  const boxes = new Map();
  node.visitLeaves(cell, (leaf, leafCell) => {
    if (Number.isNaN(leafCell)) {
      return;
    }
    const at = coordinates(leafCell, leaf.shape);
    const box = boxes.get(leaf);
    boxes.set(leaf, {
      low: box ? at.map((index, axis) => Math.min(index, box.low[axis])) : at,
      high: box ? at.map((index, axis) => Math.max(index, box.high[axis])) : at,
    });
  });
  /** @type {Map<string, {low: number[], high: number[]}[]>} */
  const byPath = new Map();
  for (const [leaf, box] of boxes) {
    const path = /** @type {string} */ (leaf.leaf);
    const known = byPath.get(path) ?? [];
    const isNew = known.every(({ low, high }) => low.join() !== box.low.join() || high.join() !== box.high.join());
    byPath.set(path, isNew ? [...known, box] : known);
  }
  return byPath;
}

/**
 * Write the formula of a cell with its numbers.
 * @param {Expression} node
 * @param {number} cell
 * @param {boolean} expand - Write out the first terms of each sum instead of its value.
 * @returns {Element}
 */
function substituted(node, cell, expand) {
  if (node.isContraction) {
    return expand ? firstTerms(node, cell) : numberElement(node.value(cell));
  }
  if (node.constant !== undefined || node.leaf !== null || node.source(cell)) {
    return numberElement(node.value(cell));
  }
  if (node.op === "stack") {
    const { arg, argCell } = node.stacked(cell);
    return substituted(arg, argCell, expand);
  }
  if (node.op === "view" || node.op === "reshape") {
    return substituted(node.args[0], node.cellOf(0, cell), expand);
  }
  /** @param {number} position */
  const inner = (position) => substituted(node.args[position], node.cellOf(position, cell), expand);
  /** @param {number} position */
  const isTrue = (position) => node.args[position].value(node.cellOf(position, cell)) !== 0;
  /** @param {number} position */
  const grouped = (position) =>
    bracketed(node, position, inner(position), node.args[position].value(node.cellOf(position, cell)), expand);
  switch (node.op) {
    case "add":
    case "sub":
    case "mul":
      return math("mrow", grouped(0), math("mo", OPERATORS[node.op]), grouped(1));
    case "div":
      return math("mfrac", inner(0), inner(1));
    case "neg":
      return math("mrow", math("mo", MINUS), grouped(0));
    case "exp":
      return math("msup", math("mi", "e"), inner(0));
    case "sqrt":
      return math("msqrt", inner(0));
    case "square":
      return math("msup", grouped(0), math("mn", "2"));
    case "pow":
      return math("msup", grouped(0), inner(1));
    case "masked_fill":
      return isTrue(1) ? inner(2) : inner(0);
    case "where":
      return isTrue(0) ? inner(1) : inner(2);
    default: {
      const args = node.args.flatMap((_, position) => (position > 0 ? [math("mo", ","), inner(position)] : [inner(position)]));
      return math("mrow", math("mi", node.op), math("mo", "("), ...args, math("mo", ")"));
    }
  }
}

/**
 * Put brackets around an argument where the formula needs them.
 * @param {Expression} node
 * @param {number} position
 * @param {Element} written
 * @param {number} value
 * @param {boolean} expand
 */
function bracketed(node, position, written, value, expand) {
  const own = PRECEDENCE[/** @type {keyof typeof PRECEDENCE} */ (node.op)];
  const arg = node.args[position];
  const isNumber = written.localName === "mn" || (written.localName === "mrow" && written.childElementCount === 2);
  const other = isNumber
    ? 9
    : (PRECEDENCE[/** @type {keyof typeof PRECEDENCE} */ (arg.op)] ?? (arg.isContraction && expand ? 1 : 9));
  const needsBrackets = isNumber
    ? value < 0 && (position > 0 || own >= 3)
    : other < own || (other === own && position > 0 && node.op !== "add");
  return needsBrackets ? math("mrow", math("mo", "("), written, math("mo", ")")) : written;
}

/** @param {number} value */
function numberElement(value) {
  if (Number.isNaN(value)) {
    return math("mi", "?");
  }
  const text = precise(Math.abs(value));
  const [digits, exponent] = text.split("e");
  const number = exponent
    ? math("mrow", math("mn", digits), math("mo", "·"), math("msup", math("mn", "10"), math("mn", exponent)))
    : math("mn", text);
  return value < 0 ? math("mrow", math("mo", MINUS), number) : number;
}

/**
 * Write the two largest terms of a contraction, and dots for the others.
 * @param {Expression} node
 * @param {number} cell
 */
function firstTerms(node, cell) {
  const terms = sortedTerms(node, cell);
  const shown = terms.length <= 3 ? terms : terms.slice(0, 2);
  const separator = node.op === "amax" ? "," : "+";
  const parts = shown.map(({ position }) => writtenTerm(node, cell, position));
  if (shown.length < terms.length) {
    parts.push(math("mo", "⋯"));
  }
  if (node.hasBias) {
    const bias = node.args[2].value(node.cellOf(2, cell));
    parts.push(bias < 0 ? math("mrow", math("mo", "("), numberElement(bias), math("mo", ")")) : numberElement(bias));
  }
  const sum = math("mrow", ...parts.flatMap((part, n) => (n > 0 ? [math("mo", separator), part] : [part])));
  if (node.op === "amax") {
    return math("mrow", math("mi", "max"), math("mo", "("), sum, math("mo", ")"));
  }
  return node.op === "mean" ? math("mfrac", sum, math("mn", String(node.terms))) : sum;
}

/**
 * @param {Expression} node
 * @param {number} cell
 * @param {number} position
 */
function writtenTerm(node, cell, position) {
  const cells = node.termCells(cell, position);
  const factors = cells.map((argCell, n) => {
    const written = substituted(node.args[n], argCell, false);
    const isNegative = node.args[n].value(argCell) < 0 && written.localName === "mrow" && written.childElementCount === 2;
    return isNegative ? math("mrow", math("mo", "("), written, math("mo", ")")) : written;
  });
  return math("mrow", ...factors.flatMap((factor, n) => (n > 0 ? [math("mo", "·"), factor] : [factor])));
}
