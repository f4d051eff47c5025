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
    /** @type {FloatTensor | null} */
    this.transposed = null;
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

  /** The transpose of each matrix: the last two axes are exchanged. It is computed once. */
  get mT() {
    if (this.transposed === null) {
      this.transposed = this.transpose(-2, -1);
      this.transposed.transposed = this;
    }
    return this.transposed;
  }

  /**
   * Return a tensor of the same shape with a function of each number.
   * @param {(value: number) => number} compute
   */
  map(compute) {
    const { data } = this;
    const result = new FloatTensor(this.shape);
    for (let place = 0; place < data.length; place++) {
      result.data[place] = compute(data[place]);
    }
    return result;
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
    const [data, otherData, results] = [this.data, other.data, result.data];
    const strides = [broadcastStrides(this.shape, shape), broadcastStrides(other.shape, shape)];
    forEachRow(shape, strides, (place, width, [start, otherStart], [step, otherStep]) => {
      for (let column = 0; column < width; column++) {
        results[place + column] = compute(data[start + column * step], otherData[otherStart + column * otherStep]);
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
    return other === 1 ? this : this.zip(other, (a, b) => a / b);
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
    const { data, width } = this;
    const result = new FloatTensor([...this.shape.slice(0, -1), 1]);
    for (let row = 0; row < result.data.length; row++) {
      let total = start;
      for (let place = row * width; place < (row + 1) * width; place++) {
        total = combine(total, data[place]);
      }
      result.data[row] = total;
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
    const isOne = other.shape.length === 2;
    const height = isOne ? result.data.length / (columns || 1) : rows; // one matrix multiplies all rows at once
    for (let row = 0; row * columns < result.data.length; row += height) {
      const left = this.data.subarray(row * inner, (row + height) * inner);
      const right = other.mT.data.subarray(isOne ? 0 : (row / height) * columns * inner);
      multiply(left, right, result.data.subarray(row * columns, (row + height) * columns), inner, columns);
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
 * Multiply two matrices: the dot product of each row and each column. Each column is used for four rows at a time, because
 * memory is slower than arithmetic.
 * @param {Float32Array} left - Its rows, one after another.
 * @param {Float32Array} right - Its columns, one after another.
 * @param {Float32Array} result
 * @param {number} inner - Size of the axis that is summed over.
 * @param {number} columns
 */
function multiply(left, right, result, inner, columns) {
  const rows = result.length / columns;
  for (let row = 0; row < rows; row += 4) {
    const a = row;
    const b = Math.min(row + 1, rows - 1); // at the end, the last row is computed again
    const c = Math.min(row + 2, rows - 1);
    const d = Math.min(row + 3, rows - 1);
    const startA = a * inner;
    const startB = b * inner;
    const startC = c * inner;
    const startD = d * inner;
    for (let column = 0; column < columns; column++) {
      const start = column * inner;
      let sumA = 0;
      let sumB = 0;
      let sumC = 0;
      let sumD = 0;
      for (let term = 0; term < inner; term++) {
        const factor = right[start + term];
        sumA += left[startA + term] * factor;
        sumB += left[startB + term] * factor;
        sumC += left[startC + term] * factor;
        sumD += left[startD + term] * factor;
      }
      result[a * columns + column] = sumA;
      result[b * columns + column] = sumB;
      result[c * columns + column] = sumC;
      result[d * columns + column] = sumD;
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
