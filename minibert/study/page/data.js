// The data that Python wrote into the page, and access to the recorded tensors.

/**
 * An operation, a leaf (a recorded tensor, a parameter or an input) or a constant. "Infinity", "-Infinity" and "NaN" are text.
 * See expressions.py.
 * @typedef {number | string | Leaf | Operation} Tree
 * @typedef {{leaf: string, kind: string, shape: number[]}} Leaf
 * @typedef {{op: string, args: Tree[], shape: number[], axis?: number | null, keepdim?: boolean, offset?: number,
 *   starts?: number[], strides?: number[]}} Operation
 *
 * A MathML element: its name, its attributes, and its children or its text.
 * @typedef {[string, Record<string, string>, (MathTree | string)[]]} MathTree
 *
 * `rows`: the page has only these rows of the tensor. A row is an index into all axes but the last, flattened; the rows of a
 * vector are its numbers. `data` is base64, or the numbers themselves, or null for a view of an earlier step: its expression
 * has the numbers.
 * @typedef {Float32Array | Float64Array | Int32Array | Uint8Array} Numbers
 * @typedef {{shape: number[], dtype: string, data: string | Numbers | null, rows?: number[]}} TensorRecord
 *
 * `labels` is a key of `PageData.labels`, or null if the positions of the axis have no names.
 * @typedef {{name: string, size: number, labels: string | null}} Axis
 *
 * @typedef {object} Step
 * @property {string} path
 * @property {string} name
 * @property {string} group - Heading in the list of steps.
 * @property {number | null} layer
 * @property {string} symbol
 * @property {string} explanation
 * @property {number | null} formula - Index into `PageData.formulas`.
 * @property {string | null} equation - Name in the registry of equations.
 * @property {(number | null)[]} equationFormulas - Indices of the formulas of this equation.
 * @property {string | null} code - File and line.
 * @property {Axis[]} axes
 * @property {Tree | null} expression
 * @property {string[]} inputs
 * @property {{step: string, ranges: [number, number][]} | null} sources - Of a text: for each entry, the entries of the step
 *   before that it was made from.
 * @property {string | null} omitted - Why the page has no numbers for this step.
 * @property {string | null} failure - The error that ended the forward pass at this step.
 * @property {{label: string, tensor: string, isBefore?: boolean} | null} other - A second tensor to compare with, such as a
 *   learner's own. `isBefore`: it is that of before a change.
 * @property {{message: string, tensor: string}[]} mistakes - The output that known mistakes would give.
 * @property {Omission[]} omissions - What a reader can leave out of the expression.
 *
 * @typedef {object} PageData
 * @property {string} title
 * @property {string} text
 * @property {string} start - The hash of the address of the step that the page opens at; empty for the first step.
 * @property {[string, string][]} facts - What was run: names and values.
 * @property {Record<string, string[]>} labels
 * @property {Record<string, TensorRecord>} tensors
 * @property {MathTree[]} formulas
 * @property {Step[]} steps
 * @property {string[]} overview - Paths of the attention weights.
 * @property {Prediction[]} predictions
 * @property {Record<string, string | null>} letters - Symbols of the parameters, such as g for the gain of a normalization.
 *
 * A change of the operation at a place of an expression: the part of it that remains, or the operation in its place.
 * @typedef {{message: string, place: number[], kept: number[] | string}} Omission
 *
 * The best entries of one row of probabilities. `label` is the token of the row.
 * @typedef {{step: string, name: string, label: string, best: {text: string, value: number, cell: [number, number]}[]}} Prediction
 */

const ARRAY_TYPES = { float32: Float32Array, float64: Float64Array, int32: Int32Array, bool: Uint8Array };

/**
 * Decode base64 to numbers. The byte order is little-endian, as on every machine that runs a browser today.
 * @param {string} base64
 * @param {string} dtype
 */
function decode(base64, dtype) {
  return new ARRAY_TYPES[/** @type {keyof typeof ARRAY_TYPES} */ (dtype)](bytesOf(base64).buffer);
}

/**
 * Decode base64 with the function that browsers have since 2025, or else with a loop that takes ten times as long.
 * @param {string} base64
 * @returns {Uint8Array<ArrayBuffer>}
 */
function bytesOf(base64) {
  if ("fromBase64" in Uint8Array) {
    return /** @type {any} */ (Uint8Array).fromBase64(base64);
  }
  const text = atob(base64);
  const bytes = new Uint8Array(text.length);
  for (let index = 0; index < text.length; index++) {
    bytes[index] = text.charCodeAt(index);
  }
  return bytes;
}

/** A recorded tensor. Its last two axes are the rows and columns of a matrix; the other axes, flattened, are its slices. */
class Tensor {
  /** @param {TensorRecord} record */
  constructor(record) {
    this.record = record;
    this.shape = record.shape;
    this.columns = this.shape.at(-1) ?? 1;
    this.rows = this.shape.at(-2) ?? 1;
    this.slices = this.shape.slice(0, -2).reduce((product, size) => product * size, 1);
    this.isBoolean = record.dtype === "bool";
    /** @type {Map<number, number> | null} Position in `values` of each row, if the page has only some rows. */
    this.rowPositions = record.rows ? new Map(record.rows.map((row, position) => [row, position])) : null;
    /** @type {Expression | null} */
    this.view = null;
    /** @type {Numbers | null} */
    this.decoded = null;
    /** @type {Map<number, {largest: number, isSigned: boolean}>} */
    this.ranges = new Map();
  }

  /** All numbers that the page has, in row-major order. They are decoded when they are first used. */
  get values() {
    if (this.decoded === null) {
      const { data, dtype } = this.record;
      this.decoded = data === null ? this.viewedValues() : typeof data === "string" ? decode(data, dtype) : data;
    }
    return this.decoded;
  }

  /** The numbers of a view of another tensor. */
  viewedValues() {
    const rows = this.record.rows ?? Array.from({ length: this.slices * this.rows }, (_, row) => row);
    const values = new Float64Array(rows.length * this.columns);
    rows.forEach((row, position) => {
      for (let column = 0; column < this.columns; column++) {
        values[position * this.columns + column] = this.view?.value(row * this.columns + column) ?? Number.NaN;
      }
    });
    return values;
  }

  /**
   * Return the number at an index into the flattened tensor, or undefined if the page does not have it.
   * @param {number} index
   * @returns {number | undefined}
   */
  at(index) {
    if (this.rowPositions === null) {
      return this.values[index];
    }
    const width = this.shape.length === 1 ? 1 : this.columns;
    const position = this.rowPositions.get(Math.floor(index / width));
    return position === undefined ? undefined : this.values[position * width + (index % width)];
  }

  /**
   * @param {number} slice
   * @param {number} row
   * @param {number} column
   */
  index(slice, row, column) {
    return (slice * this.rows + row) * this.columns + column;
  }

  /**
   * Return the indices along each axis of an index into the flattened tensor.
   * @param {number} index
   */
  coordinates(index) {
    return coordinates(index, this.shape);
  }

  /**
   * The first row and slice that the page has.
   * @returns {{slice: number, row: number}}
   */
  firstCell() {
    const row = this.record.rows?.[0] ?? 0;
    return { slice: Math.floor(row / this.rows), row: row % this.rows };
  }

  /**
   * Return the largest finite magnitude in a slice and whether the slice has negative numbers. Heat colors use both.
   * @param {number} slice
   */
  range(slice) {
    let range = this.ranges.get(slice);
    if (!range) {
      range = { largest: 0, isSigned: false };
      const [start, end] = [this.index(slice, 0, 0), this.index(slice + 1, 0, 0)];
      const values = this.rowPositions ? this.values : this.values.subarray(start, end); // of some rows: one range for all
      for (const value of values) {
        const size = Math.abs(value);
        if (size > range.largest && size < Number.POSITIVE_INFINITY) {
          range.largest = size;
        }
        if (value < 0) {
          range.isSigned = true;
        }
      }
      this.ranges.set(slice, range);
    }
    return range;
  }
}

/**
 * Return the indices along each axis of an index into the flattened tensor.
 * @param {number} index
 * @param {number[]} shape
 */
function coordinates(index, shape) {
  const result = new Array(shape.length);
  for (let axis = shape.length - 1; axis >= 0; axis--) {
    result[axis] = index % shape[axis];
    index = Math.floor(index / shape[axis]);
  }
  return result;
}

/**
 * Return all leaves of an expression.
 * @param {Tree | null} tree
 * @returns {Leaf[]}
 */
function leavesOf(tree) {
  if (tree === null || typeof tree !== "object") {
    return [];
  }
  return "leaf" in tree ? [tree] : tree.args.flatMap(leavesOf);
}

/** The steps, their tensors and the labels of their axes. */
class Walk {
  /** @param {PageData} data */
  constructor(data) {
    this.data = data;
    this.steps = data.steps;
    this.byPath = new Map(data.steps.map((step, position) => [step.path, position]));
    /** @type {number | null} The layer of the shown step. The symbols of steps of other layers have the number of theirs. */
    this.layer = null;
    /** @type {Map<string, Tensor | null>} */
    this.tensors = new Map();
    /** @type {Map<string, Step[]>} */
    this.users = new Map();
    for (const step of data.steps) {
      const leaves = leavesOf(step.expression).map(({ leaf }) => leaf);
      for (const input of step.sources ? [step.sources.step] : new Set([...step.inputs, ...leaves])) {
        this.users.set(input, [...(this.users.get(input) ?? []), step]);
      }
    }
  }

  /**
   * @param {string} path
   * @returns {Step | null}
   */
  step(path) {
    return this.steps[this.byPath.get(path) ?? -1] ?? null;
  }

  /**
   * Return the symbol of a step or a parameter, as in the formula of the shown step, or an empty string.
   * @param {string} path
   */
  symbol(path) {
    const { symbol, layer } = this.step(path) ?? { symbol: this.data.letters[path] ?? "", layer: null };
    return layer === null || layer === this.layer || !symbol ? symbol : `${symbol}^{(${layer})}`;
  }

  /**
   * Return a recorded tensor, a parameter or an input, or null if the page does not have it.
   * @param {string} path
   * @returns {Tensor | null}
   */
  tensor(path) {
    let tensor = this.tensors.get(path);
    if (tensor === undefined) {
      const record = Object.hasOwn(this.data.tensors, path) ? this.data.tensors[path] : null;
      tensor = record && new Tensor(record);
      this.tensors.set(path, tensor);
      const expression = tensor?.record.data === null ? this.step(path)?.expression : null;
      if (tensor && expression) {
        tensor.view = new Expression(expression, this);
      }
    }
    return tensor;
  }

  /**
   * Return one tensor minus another.
   * @param {string} path
   * @param {string} reference
   * @returns {Tensor}
   */
  difference(path, reference) {
    const name = `${path} − ${reference}`;
    const [tensor, other] = [/** @type {Tensor} */ (this.tensor(path)), this.tensor(reference)];
    const known = this.tensors.get(name) ?? new Tensor({ ...tensor.record, dtype: "float32" });
    known.decoded ??= Float32Array.from(tensor.values, (value, index) => value - (other?.values[index] ?? Number.NaN));
    this.tensors.set(name, known);
    return known;
  }

  /**
   * Return the axes of a tensor: of a step its named axes, of any other tensor axes without names.
   * @param {string} path
   * @returns {Axis[]}
   */
  axes(path) {
    const shape = this.data.tensors[path]?.shape ?? [];
    const axes = this.step(path)?.axes;
    return axes?.length ? axes : shape.map((size) => ({ name: "", size, labels: null }));
  }

  /**
   * Return the name of a position on an axis, such as a token, or an empty string.
   * @param {Axis | undefined} axis
   * @param {number} position
   */
  label(axis, position) {
    const label = axis?.labels ? (this.data.labels[axis.labels]?.[position] ?? "") : "";
    return label.trim() === "" ? "␣".repeat(label.length) : label;
  }

  /**
   * Return the same step in another layer, or null.
   * @param {Step} step
   * @param {number} difference
   */
  inOtherLayer(step, difference) {
    if (step.layer === null) {
      return null;
    }
    return this.step(step.path.replace(`.${step.layer}.`, `.${step.layer + difference}.`));
  }
}
