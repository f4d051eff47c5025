// Evaluation of expressions, one cell at a time. A cell is an index into the flattened tensor.
//
// Every operation is one of four kinds: a view (the same numbers under other indices), an elementwise function, a contraction
// (a sum, mean or maximum of terms, or a sum of products), or a lookup of rows (embedding). The index of an argument's cell is
// a linear function of the coordinates of the result's cell: an offset and one stride per axis.

/** @type {Record<string, (...values: number[]) => number>} */
const ELEMENTWISE = {
  add: (a, b) => a + b,
  sub: (a, b) => a - b,
  mul: (a, b) => a * b,
  div: (a, b) => a / b,
  pow: (a, b) => a ** b,
  neg: (a) => -a,
  exp: Math.exp,
  log: Math.log,
  sqrt: Math.sqrt,
  rsqrt: (a) => 1 / Math.sqrt(a),
  square: (a) => a * a,
  abs: Math.abs,
  tanh: Math.tanh,
  sin: Math.sin,
  cos: Math.cos,
  erf,
  sigmoid: (a) => 1 / (1 + Math.exp(-a)),
  silu: (a) => a / (1 + Math.exp(-a)),
  relu: (a) => Math.max(a, 0),
  maximum: Math.max,
  where: (condition, a, b) => (condition ? a : b),
  masked_fill: (a, mask, fill) => (mask ? fill : a),
};

const REDUCTIONS = new Set(["sum", "mean", "amax"]);
const VIEWS = new Set(["view", "rows", "reshape", "embedding"]);
const PRODUCTS = new Set(["matmul", "linear"]);

/**
 * The error function: a Taylor series near zero, a continued fraction elsewhere.
 * @param {number} x
 */
function erf(x) {
  const size = Math.abs(x);
  if (size < 2.5) {
    let term = x;
    let sum = x;
    for (let n = 1; Math.abs(term) > 1e-17 * Math.abs(sum) && n < 100; n++) {
      term *= (-x * x) / n;
      sum += term / (2 * n + 1);
    }
    return (2 / Math.sqrt(Math.PI)) * sum;
  }
  let fraction = 0;
  for (let n = 40; n > 0; n--) {
    fraction = n / 2 / (size + fraction);
  }
  return Math.sign(x) * (1 - Math.exp(-size * size) / Math.sqrt(Math.PI) / (size + fraction));
}

/**
 * Return the strides of a tensor in row-major order.
 * @param {number[]} shape
 */
function stridesOf(shape) {
  const strides = new Array(shape.length).fill(1);
  for (let axis = shape.length - 2; axis >= 0; axis--) {
    strides[axis] = strides[axis + 1] * shape[axis + 1];
  }
  return strides;
}

/**
 * Return the strides of an argument along the axes of the result. An axis that is broadcast has stride 0.
 * @param {number[]} shape
 * @param {number[]} resultShape
 */
function broadcastStrides(shape, resultShape) {
  const strides = stridesOf(shape);
  const missing = resultShape.length - shape.length;
  return resultShape.map((_, axis) => (axis < missing || shape[axis - missing] === 1 ? 0 : strides[axis - missing]));
}

/**
 * Return the argument's cell for a cell of the result.
 * @param {number} cell
 * @param {number[]} shape - Shape of the result.
 * @param {number[]} strides
 */
function project(cell, shape, strides) {
  let result = 0;
  for (let axis = shape.length - 1; axis >= 0; axis--) {
    const coordinate = cell % shape[axis];
    result += coordinate * strides[axis];
    cell = (cell - coordinate) / shape[axis];
  }
  return result;
}

/** An expression, ready for evaluation. Its arguments are expressions too. */
class Expression {
  /**
   * @param {Tree} tree
   * @param {Walk} walk
   */
  constructor(tree, walk) {
    /** @type {string} */
    this.op = "";
    /** @type {Expression[]} */
    this.args = [];
    /** @type {number[]} */
    this.shape = [];
    /** @type {string | null} */
    this.leaf = null;
    /** @type {string} */
    this.kind = "constant";
    /** @type {Map<number, number>} Values of a contraction that were computed before. */
    this.known = new Map();
    /** @type {number[][]} Strides of each argument along the axes of the result. */
    this.strides = [];
    /** @type {number} */
    this.offset = 0;
    /** @type {number[]} Of the operation "rows": the cell that each row begins with. */
    this.starts = [];
    /** @type {number} Of the operation "stack": the size of what is stacked, behind the new axis. */
    this.inner = 1;
    /** @type {boolean[]} Whether each argument of an elementwise function has the shape of the result. */
    this.sameShape = [];
    /** @type {(...values: number[]) => number} */
    this.compute = () => Number.NaN;
    /** @type {{cell: number, values: Float64Array} | null} */
    this.lastTerms = null;
    /** @type {number} Number of terms of a contraction. */
    this.terms = 0;
    /** @type {number[]} Distance between the cells of one term and the next, for each argument. */
    this.termStrides = [];
    if (typeof tree !== "object") {
      this.constant = Number(tree);
    } else if ("leaf" in tree) {
      this.leaf = tree.leaf;
      this.kind = tree.kind;
      this.shape = tree.shape;
      this.tensor = walk.tensor(tree.leaf);
    } else {
      this.op = tree.op;
      this.shape = tree.shape;
      this.args = tree.args.map((arg) => new Expression(arg, walk));
      this.connect(tree);
    }
  }

  /**
   * Compute how a cell of the result maps to cells of the arguments.
   * @param {Operation} tree
   */
  connect(tree) {
    const [first, second] = this.args;
    if (this.op === "view") {
      this.offset = tree.offset ?? 0;
      this.strides = [tree.strides ?? []];
    } else if (this.op === "rows") {
      this.starts = tree.starts ?? [];
      this.strides = [tree.strides ?? []];
    } else if (this.op === "stack") {
      this.inner = this.shape.slice((tree.axis ?? 0) + 1).reduce((product, size) => product * size, 1);
    } else if (REDUCTIONS.has(this.op)) {
      this.connectReduction(tree.axis ?? null, tree.keepdim ?? false);
    } else if (this.op === "matmul") {
      const [rows, columns] = [this.shape.length - 2, this.shape.length - 1];
      const [left, right] = this.args.map((arg) => stridesOf(arg.shape));
      this.strides = this.args.map((arg) => {
        const [height, width] = arg.shape.slice(-2);
        const matrices = broadcastStrides([...arg.shape.slice(0, -2), 1, 1], this.shape);
        return matrices.map((stride) => stride * height * width);
      });
      this.strides[0][rows] = left.at(-2) ?? 0;
      this.strides[1][columns] = 1;
      this.terms = first.shape.at(-1) ?? 1;
      this.termStrides = [1, right.at(-2) ?? 1];
    } else if (this.op === "linear") {
      const width = first.shape.at(-1) ?? 1;
      const last = this.shape.length - 1;
      this.strides = [stridesOf(first.shape), this.shape.map(() => 0), this.shape.map(() => 0)];
      this.strides[0][last] = 0;
      this.strides[1][last] = width;
      this.strides[2][last] = 1;
      this.terms = width;
      this.termStrides = [1, 1];
    } else if (this.op === "embedding") {
      const ids = stridesOf(second.shape);
      this.strides = [this.shape.map(() => 0), [...ids, 0]];
    } else {
      this.strides = this.args.map((arg) => broadcastStrides(arg.shape, this.shape));
      this.sameShape = this.args.map((arg) => arg.shape.join() === this.shape.join());
      this.compute = ELEMENTWISE[this.op] ?? (() => Number.NaN);
    }
  }

  /**
   * @param {number | null} reduced - The axis; null for all axes.
   * @param {boolean} keepsAxis
   */
  connectReduction(reduced, keepsAxis) {
    const { shape } = this.args[0];
    const strides = stridesOf(shape);
    if (reduced === null) {
      this.terms = shape.reduce((product, size) => product * size, 1);
      this.termStrides = [1];
      this.strides = [this.shape.map(() => 0)];
      return;
    }
    this.terms = shape[reduced];
    this.termStrides = [strides[reduced]];
    this.strides = [strides.map((stride, axis) => (axis === reduced ? 0 : stride))];
    if (!keepsAxis) {
      this.strides[0].splice(reduced, 1);
    }
  }

  get isContraction() {
    return this.terms > 0;
  }

  /**
   * Return the cell of an argument for a cell of the result; of a contraction, the cell of its first term.
   * @param {number} position
   * @param {number} cell
   * @returns {number}
   */
  cellOf(position, cell) {
    if (this.op === "reshape") {
      return cell;
    }
    if (this.op === "rows") {
      const width = this.shape.at(-1) ?? 1;
      return this.starts[Math.floor(cell / width)] + (cell % width) * this.strides[0][0];
    }
    if (this.sameShape[position]) {
      return cell;
    }
    const projected = this.offset + project(cell, this.shape, this.strides[position]);
    if (this.op === "embedding" && position === 0) {
      const width = this.shape.at(-1) ?? 1;
      return (this.args[1].value(this.cellOf(1, cell)) ?? Number.NaN) * width + (cell % width);
    }
    return projected;
  }

  /**
   * Return the value of a cell, NaN if it depends on a number that the page does not have.
   * @param {number} cell
   * @returns {number}
   */
  value(cell) {
    if (this.constant !== undefined) {
      return this.constant;
    }
    if (this.leaf !== null) {
      return this.tensor?.at(cell) ?? Number.NaN;
    }
    if (this.isContraction) {
      let value = this.known.get(cell);
      if (value === undefined) {
        value = this.contract(cell);
        this.known.set(cell, value);
      }
      return value;
    }
    if (VIEWS.has(this.op)) {
      return this.args[0].value(this.cellOf(0, cell));
    }
    if (this.op === "stack") {
      const { arg, argCell } = this.stacked(cell);
      return arg.value(argCell);
    }
    const { args, compute } = this;
    if (args.length === 2) {
      return compute(args[0].value(this.cellOf(0, cell)), args[1].value(this.cellOf(1, cell)));
    }
    return compute(...args.map((arg, position) => arg.value(this.cellOf(position, cell))));
  }

  /**
   * Return the sum, mean or maximum of the terms of a contraction.
   * @param {number} cell
   */
  contract(cell) {
    const maximum = this.op === "amax";
    let total = maximum ? Number.NEGATIVE_INFINITY : 0;
    for (const value of this.termValues(cell)) {
      total = maximum ? Math.max(total, value) : total + value;
    }
    if (this.op === "mean") {
      return total / this.terms;
    }
    return this.hasBias ? total + this.args[2].value(this.cellOf(2, cell)) : total;
  }

  get hasBias() {
    return this.op === "linear" && this.args.length > 2;
  }

  /**
   * Return the cells that a term of a contraction is computed from, one for each factor.
   * @param {number} cell
   * @param {number} term
   */
  termCells(cell, term) {
    return this.termStrides.map((stride, position) => this.cellOf(position, cell) + term * stride);
  }

  /**
   * Return the terms of a contraction. Those of the last cell are kept: its table needs them again.
   * @param {number} cell
   */
  termValues(cell) {
    if (this.lastTerms?.cell !== cell) {
      const values = new Float64Array(this.terms);
      const [first, second] = this.args;
      const [start, other] = this.termCells(cell, 0);
      const [step, otherStep] = this.termStrides;
      const isProduct = PRODUCTS.has(this.op);
      for (let term = 0; term < this.terms; term++) {
        const value = first.value(start + term * step);
        values[term] = isProduct ? value * second.value(other + term * otherStep) : value;
      }
      this.lastTerms = { cell, values };
    }
    return this.lastTerms.values;
  }

  /**
   * Return the argument of `stack` that a cell comes from. `stack` joins tensors along a new axis.
   * @param {number} cell
   */
  stacked(cell) {
    const count = this.args.length;
    const outer = Math.floor(cell / (this.inner * count));
    return { arg: this.args[Math.floor(cell / this.inner) % count], argCell: outer * this.inner + (cell % this.inner) };
  }

  /**
   * Return the arguments that a cell is computed from, each with its cell; of a contraction, with the cell of its first term.
   * @param {number} cell
   * @returns {{node: Expression, cell: number}[]}
   */
  parts(cell) {
    if (this.op === "stack") {
      const { arg, argCell } = this.stacked(cell);
      return [{ node: arg, cell: argCell }];
    }
    return this.args.map((arg, position) => ({ node: arg, cell: this.cellOf(position, cell) }));
  }

  /**
   * Return the leaf and its cell that this cell is a view of, or null if the cell is computed.
   * @param {number} cell
   * @returns {{leaf: Expression, cell: number} | null}
   */
  source(cell) {
    if (this.leaf !== null) {
      return { leaf: this, cell };
    }
    if (this.op === "stack") {
      const { arg, argCell } = this.stacked(cell);
      return arg.source(argCell);
    }
    return VIEWS.has(this.op) ? this.args[0].source(this.cellOf(0, cell)) : null;
  }

  /**
   * Return whether the page has the numbers that a cell is computed from.
   * @param {number} cell
   */
  isComplete(cell) {
    let isComplete = true;
    this.visitLeaves(cell, (leaf, leafCell) => {
      isComplete &&= leaf.tensor?.at(leafCell) !== undefined;
    });
    return isComplete;
  }

  /**
   * Call `visit` for the leaves that a cell depends on. Of a contraction only the first and the last term are visited: together
   * they give the box of cells that the leaf contributes.
   * @param {number} cell
   * @param {(leaf: Expression, cell: number) => void} visit
   */
  visitLeaves(cell, visit) {
    if (this.leaf !== null) {
      visit(this, cell);
    } else if (this.isContraction) {
      for (const term of [0, this.terms - 1]) {
        this.termCells(cell, term).forEach((argCell, position) => {
          this.args[position].visitLeaves(argCell, visit);
        });
      }
      if (this.hasBias) {
        this.args[2].visitLeaves(this.cellOf(2, cell), visit);
      }
    } else {
      for (const part of this.parts(cell)) {
        part.node.visitLeaves(part.cell, visit);
      }
    }
  }
}
