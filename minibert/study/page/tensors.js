// Tensors: numbers with a shape, and the operations of PyTorch that the equations need, under the names of PyTorch.

/** A tensor of numbers in row-major order. A Boolean tensor has ones and zeros. No operation changes a tensor. */
class FloatTensor {
  /**
   * @param {number[]} shape
   * @param {Float32Array} [data] - Default: zeros.
   */
  constructor(shape, data = new Float32Array(productOf(shape))) {
    this.shape = shape;
    this.data = data;
  }

  /** The size of the last axis. */
  get width() {
    return this.shape.at(-1) ?? 1;
  }

  /** @param {number[]} shape */
  reshape(...shape) {
    return new FloatTensor(shape, this.data);
  }

  /**
   * Add an axis of size 1.
   * @param {number} axis - Counted from the end of the result: -1 is its last axis.
   */
  unsqueeze(axis) {
    const place = this.shape.length + 1 + axis;
    return this.reshape(...this.shape.slice(0, place), 1, ...this.shape.slice(place));
  }

  /**
   * Exchange two axes.
   * @param {number} first - Counted from the end: -1 is the last axis.
   * @param {number} second
   */
  transpose(first, second) {
    const axes = this.shape.map((_, axis) => axis);
    const [one, other] = [axes.length + first, axes.length + second];
    [axes[one], axes[other]] = [other, one];
    const strides = stridesOf(this.shape);
    const result = new FloatTensor(axes.map((axis) => this.shape[axis]));
    forEachRow(result.shape, [axes.map((axis) => strides[axis])], (place, width, [start], [step]) => {
      for (let column = 0; column < width; column++) {
        result.data[place + column] = this.data[start + column * step];
      }
    });
    return result;
  }

  /** The transpose of each matrix: the last two axes are exchanged. */
  get mT() {
    return this.transpose(-2, -1);
  }

  /**
   * Return a tensor of the same shape with a function of each number.
   * @param {(value: number) => number} compute
   */
  map(compute) {
    return new FloatTensor(this.shape, this.data.map(compute));
  }

  exp() {
    return this.map(Math.exp);
  }

  sqrt() {
    return this.map(Math.sqrt);
  }

  square() {
    return this.map((value) => value * value);
  }

  /**
   * Return a function of each number and of the number at the same place of another tensor. An axis that one of the two lacks,
   * or has with size 1, is repeated.
   * @param {FloatTensor | number} other
   * @param {(value: number, other: number) => number} compute
   */
  zip(other, compute) {
    if (typeof other === "number") {
      return this.map((value) => compute(value, other));
    }
    const shape = broadcastShape(this.shape, other.shape);
    const result = new FloatTensor(shape);
    const strides = [broadcastStrides(this.shape, shape), broadcastStrides(other.shape, shape)];
    forEachRow(shape, strides, (place, width, [start, otherStart], [step, otherStep]) => {
      for (let column = 0; column < width; column++) {
        result.data[place + column] = compute(this.data[start + column * step], other.data[otherStart + column * otherStep]);
      }
    });
    return result;
  }

  /** @param {FloatTensor | number} other */
  add(other) {
    return this.zip(other, (a, b) => a + b);
  }

  /** @param {FloatTensor | number} other */
  sub(other) {
    return this.zip(other, (a, b) => a - b);
  }

  /** @param {FloatTensor | number} other */
  mul(other) {
    return this.zip(other, (a, b) => a * b);
  }

  /** @param {FloatTensor | number} other */
  div(other) {
    return this.zip(other, (a, b) => a / b);
  }

  /**
   * Replace the numbers where a mask is not zero.
   * @param {FloatTensor} mask
   * @param {number} fill
   */
  masked_fill(mask, fill) {
    return this.zip(mask, (value, isMasked) => (isMasked ? fill : value));
  }

  /** Return the opposite of a Boolean tensor. */
  logical_not() {
    return this.map((value) => (value ? 0 : 1));
  }

  /**
   * Combine the numbers of the last axis. It stays, with size 1.
   * @param {(total: number, value: number) => number} combine
   * @param {number} start
   */
  reduce(combine, start) {
    const result = new FloatTensor([...this.shape.slice(0, -1), 1]);
    for (let row = 0; row < result.data.length; row++) {
      result.data[row] = this.data.subarray(row * this.width, (row + 1) * this.width).reduce(combine, start);
    }
    return result;
  }

  sum() {
    return this.reduce((total, value) => total + value, 0);
  }

  mean() {
    return this.sum().div(this.width);
  }

  amax() {
    return this.reduce((largest, value) => Math.max(largest, value), Number.NEGATIVE_INFINITY);
  }

  /**
   * Multiply matrices.
   * @param {FloatTensor} other - One matrix, or one for each matrix of this tensor.
   */
  matmul(other) {
    const [rows, inner] = this.shape.slice(-2);
    const columns = other.width;
    const result = new FloatTensor([...this.shape.slice(0, -1), columns]);
    const matrices = result.data.length / (rows * columns) || 0;
    const otherStep = other.shape.length > 2 ? inner * columns : 0;
    for (let matrix = 0; matrix < matrices; matrix++) {
      const otherData = other.data.subarray(matrix * otherStep);
      for (let row = matrix * rows; row < (matrix + 1) * rows; row++) {
        const left = this.data.subarray(row * inner, (row + 1) * inner);
        addWeightedRows(left, otherData, result.data.subarray(row * columns, (row + 1) * columns));
      }
    }
    return result;
  }

  /**
   * Return some rows, for example those of token ids in a table of embeddings.
   * @param {number[]} rows
   */
  rows(rows) {
    const result = new FloatTensor([rows.length, this.width]);
    rows.forEach((row, place) => {
      result.data.set(this.data.subarray(row * this.width, (row + 1) * this.width), place * this.width);
    });
    return result;
  }
}

/**
 * Multiply a row vector and a matrix: the sum of the rows of the matrix, each times a weight. Four rows are added at a time.
 * @param {Float32Array} weights
 * @param {Float32Array} matrix - Its rows, one after another.
 * @param {Float32Array} sums - The result, zeros before.
 */
function addWeightedRows(weights, matrix, sums) {
  const width = sums.length;
  const whole = weights.length - (weights.length % 4);
  for (let row = 0; row < whole; row += 4) {
    const [a, b, c, d] = [weights[row], weights[row + 1], weights[row + 2], weights[row + 3]];
    const start = row * width;
    for (let i = 0; i < width; i++) {
      const place = start + i;
      sums[i] += a * matrix[place] + b * matrix[place + width] + c * matrix[place + 2 * width] + d * matrix[place + 3 * width];
    }
  }
  for (let row = whole; row < weights.length; row++) {
    for (let i = 0; i < width; i++) {
      sums[i] += weights[row] * matrix[row * width + i];
    }
  }
}

/** @param {number[]} shape */
function productOf(shape) {
  return shape.reduce((product, size) => product * size, 1);
}

/**
 * Return the shape of a function of two tensors.
 * @param {number[]} first
 * @param {number[]} second
 */
function broadcastShape(first, second) {
  const [long, short] = first.length < second.length ? [second, first] : [first, second];
  return long.map((size, axis) => {
    const other = short[axis - long.length + short.length] ?? 1;
    return size === 1 ? other : size;
  });
}

/**
 * Call a function for each row of a tensor: the numbers along its last axis.
 * @param {number[]} shape
 * @param {number[][]} strides - Of each argument, along the axes of `shape`.
 * @param {(place: number, width: number, starts: number[], steps: number[]) => void} visit - `place` is where the row begins,
 *   `starts` where it begins in each argument, and `steps` are the distances of its numbers there.
 */
function forEachRow(shape, strides, visit) {
  const outer = shape.slice(0, -1);
  const width = shape.at(-1) ?? 1;
  const steps = strides.map((each) => each.at(-1) ?? 0);
  const rows = productOf(outer);
  for (let row = 0; row < rows; row++) {
    const starts = strides.map((each) => project(row, outer, each));
    visit(row * width, width, starts, steps);
  }
}

/**
 * Decode base64 to numbers in half precision. A browser may lack `Float16Array`.
 *
 * The bits of the exponent and of the fraction, moved to their places in single precision, are the number divided by 2 ** 112,
 * because the exponents are counted from other zeros.
 * @param {string} base64 - Finite numbers, little-endian.
 */
function decodeFloat16(base64) {
  const halves = new Uint16Array(bytesOf(base64).buffer);
  const bits = new Uint32Array(halves.length);
  const values = new Float32Array(bits.buffer);
  for (let place = 0; place < halves.length; place++) {
    bits[place] = ((halves[place] & 0x8000) << 16) | ((halves[place] & 0x7fff) << 13);
    values[place] *= 2 ** 112;
  }
  return values;
}
