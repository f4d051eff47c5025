// The calculation of one cell: its formula with numbers, the terms of its sums, and the cells it was computed from.

const SHOWN_TERMS = 12;
const PRECEDENCE = { negative: 0, add: 1, mul: 2, pow: 3 };

/**
 * @typedef {{leaf: Expression, cell: number}} Source
 * @typedef {{node: Expression, cell: number}} Contraction
 */

/**
 * Return the positions of the terms with the largest magnitude (of a maximum: the largest terms), the largest first.
 * @param {Expression} node
 * @param {number} cell
 * @param {number} count
 */
function largestTerms(node, cell, count) {
  const values = node.termValues(cell);
  const size = node.op === "amax" ? (/** @type {number} */ n) => values[n] : (/** @type {number} */ n) => Math.abs(values[n]);
  if (count >= values.length) {
    return Array.from(values.keys()).sort((a, b) => size(b) - size(a));
  }
  /** @type {number[]} */
  const largest = [];
  for (let position = 0; position < values.length; position++) {
    if (largest.length === count && !(size(position) > size(largest[count - 1]))) {
      continue;
    }
    const rank = largest.findIndex((other) => size(position) > size(other));
    largest.splice(rank < 0 ? largest.length : rank, 0, position);
    largest.length = Math.min(largest.length, count);
  }
  return largest;
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
  const sources = node.parts(cell).flatMap((part) => ownSources(part.node, part.cell));
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
    if (inner.isContraction && found.every((known) => !isSame(known, { node: inner, cell: innerCell }))) {
      found.push({ node: inner, cell: innerCell });
    }
    for (const part of inner.parts(innerCell)) {
      visit(part.node, part.cell);
    }
  }
  visit(node, cell);
  return found;
}

/**
 * Return whether two contractions are the same one, written twice in a formula, as the maximum in a softmax.
 * @param {Contraction} one
 * @param {Contraction} other
 */
function isSame(one, other) {
  const terms = one.node.termValues(one.cell);
  const others = other.node.termValues(other.cell);
  return (
    one.node.op === other.node.op && terms.length === others.length && terms.every((term, n) => Object.is(term, others[n]))
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
    const at = coordinates(leafCell, leaf.tensor?.shape ?? leaf.shape);
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
  if (node.constant !== undefined) {
    return numberElement(node.constant, exact);
  }
  if (node.leaf !== null || node.source(cell)) {
    return numberElement(node.value(cell));
  }
  if (node.op === "stack") {
    const { arg, argCell } = node.stacked(cell);
    return substituted(arg, argCell, expand);
  }
  if (VIEWS.has(node.op)) {
    return substituted(node.args[0], node.cellOf(0, cell), expand);
  }
  /** @param {number} position */
  const inner = (position) => substituted(node.args[position], node.cellOf(position, cell), expand);
  /** @param {number} position */
  const isTrue = (position) => node.args[position].value(node.cellOf(position, cell)) !== 0;
  switch (node.op) {
    case "add":
      return operation(
        "add",
        bracketed(inner(0), PRECEDENCE.add, true),
        math("mo", "+"),
        bracketed(inner(1), PRECEDENCE.add, false),
      );
    case "sub":
      return operation(
        "add",
        bracketed(inner(0), PRECEDENCE.add, true),
        math("mo", MINUS),
        bracketed(inner(1), PRECEDENCE.mul, false),
      );
    case "mul":
      return operation(
        "mul",
        bracketed(inner(0), PRECEDENCE.mul, true),
        math("mo", "·"),
        bracketed(inner(1), PRECEDENCE.mul, false),
      );
    case "div":
      return math("mfrac", inner(0), inner(1));
    case "neg":
      return operation("negative", math("mo", MINUS), bracketed(inner(0), PRECEDENCE.mul, false));
    case "exp":
      return math("msup", math("mi", "e"), inner(0));
    case "sqrt":
      return math("msqrt", inner(0));
    case "square":
      return math("msup", bracketed(inner(0), PRECEDENCE.pow, true), math("mn", "2"));
    case "pow":
      return math("msup", bracketed(inner(0), PRECEDENCE.pow, true), inner(1));
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
 * Put brackets around a part of a formula if the operation around it binds more strongly.
 * @param {Element} written
 * @param {number} precedence - Of the operation around it.
 * @param {boolean} isFirst - Whether it is the first part. A negative number needs no brackets there.
 */
function bracketed(written, precedence, isFirst) {
  if (!isFirst) {
    bracketFirstFactor(written);
  }
  const own = precedenceOf(written);
  const isFree = isFirst && precedence < PRECEDENCE.pow && own === PRECEDENCE.negative;
  const needsBrackets = own < precedence && !isFree;
  return needsBrackets ? math("mrow", math("mo", "("), written, math("mo", ")")) : written;
}

/**
 * Put brackets around a negative first factor of a product: a + (−b) · c.
 * @param {Element} written
 */
function bracketFirstFactor(written) {
  const first = written.getAttribute("data-operation") === "mul" ? written.firstElementChild : null;
  if (first) {
    written.prepend(bracketed(first, PRECEDENCE.mul, false));
  }
}

/**
 * Return whether a part of a formula is a number.
 * @param {Element} written
 */
function isNumber(written) {
  return written.localName === "mn" || written.getAttribute("data-operation") === "negative";
}

/** @param {Element} written */
function precedenceOf(written) {
  const operation = /** @type {keyof typeof PRECEDENCE | null} */ (written.getAttribute("data-operation"));
  return operation ? PRECEDENCE[operation] : Number.POSITIVE_INFINITY;
}

/**
 * Write an operation, with its name for `bracketed`.
 * @param {keyof typeof PRECEDENCE} operation
 * @param {...Element} parts
 */
function operation(operation, ...parts) {
  const row = math("mrow", ...parts);
  row.setAttribute("data-operation", operation);
  return row;
}

/**
 * Write the number zero, a positive or a negative number.
 * @param {number} value
 * @param {(value: number) => string} [write]
 */
function numberElement(value, write = precise) {
  if (Number.isNaN(value)) {
    return math("mi", "?");
  }
  const text = write(Math.abs(value));
  const [digits, exponent] = text.split("e");
  const number = exponent
    ? math("mrow", math("mn", digits), math("mo", "·"), math("msup", math("mn", "10"), math("mn", exponent)))
    : math("mn", text);
  return value < 0 ? operation("negative", math("mo", MINUS), number) : number;
}

/**
 * Write the two largest terms of a contraction, and dots for the others.
 * @param {Expression} node
 * @param {number} cell
 */
function firstTerms(node, cell) {
  const shown = largestTerms(node, cell, node.terms <= 3 ? node.terms : 2);
  const separator = node.op === "amax" ? "," : "+";
  const parts = shown.map((position) => writtenTerm(node, cell, position));
  if (shown.length < node.terms) {
    parts.push(math("mo", "⋯"));
  }
  if (node.hasBias) {
    parts.push(numberElement(node.args[2].value(node.cellOf(2, cell))));
  }
  const sum = operation("add", ...joined(parts, separator, PRECEDENCE.add));
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
  const factors = node.termCells(cell, position).map((argCell, n) => substituted(node.args[n], argCell, false));
  return factors.length === 1 ? factors[0] : operation("mul", ...joined(factors, "·", PRECEDENCE.mul));
}

/**
 * @param {Element[]} parts
 * @param {string} separator
 * @param {number} precedence
 */
function joined(parts, separator, precedence) {
  return parts.flatMap((part, n) => {
    const written = bracketed(part, precedence, n === 0);
    return n === 0 ? [written] : [math("mo", separator), written];
  });
}
