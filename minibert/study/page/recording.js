// Recording and changing of the tensors of a forward pass, as `record(model, edit={...})` of minibert/observe.py does.

/**
 * What a reader changes. Every change is made where a tensor is observed, so that all later steps change too.
 * @typedef {object} Changes
 * @property {[number, number][]} [headsOff] - Layer and head: the context of the head becomes zero.
 * @property {number[]} [layersOff] - The output of the layer becomes its input.
 * @property {("attention" | "feed_forward")[]} [residualsOff] - The sublayer's output is not added to its input, in any layer.
 * @property {boolean} [noScale] - The dot products are not divided by √d_k.
 * @property {boolean} [noMask] - Padding may be attended to.
 * @property {boolean} [noPositions] - The position embeddings become zero.
 * @property {number} [attentionTemperature] - The scores of attention are divided by it.
 * @property {number} [temperature] - The logits of the predictions are divided by it.
 * @property {Record<string, Record<string, number>>} [cells] - Numbers by path and by the indices along each axis, such as
 *   "0,1,2". A cell that the tensor of a shorter sentence does not have is left out.
 */

/** The tensors of one forward pass by path, in order. */
class Recording {
  /** @param {Changes} changes */
  constructor(changes) {
    this.changes = changes;
    /** @type {Map<string, FloatTensor>} */
    this.tensors = new Map();
    /** @type {string[]} Names of the modules that are running. */
    this.modules = [];
  }

  /**
   * Change a tensor as the reader wants, and keep it.
   * @param {string} name
   * @param {FloatTensor} tensor
   */
  observe(name, tensor) {
    const path = [...this.modules, name].join(".");
    const changed = this.withCells(path, this.withSwitches(path, tensor));
    this.tensors.set(path, changed);
    return changed;
  }

  /**
   * Return what the switches make of a tensor.
   * @param {string} path
   * @param {FloatTensor} tensor
   */
  withSwitches(path, tensor) {
    const { changes } = this;
    const [, before, number, name] = /^(decoder\.)?layers\.(\d+)\.(.+)$/.exec(path) ?? [null, "", "", path];
    const layer = Number(number);
    /** @type {(layer: number, name: string) => FloatTensor} */
    const at = (layer, name) => this.at(`${before ?? ""}layers.${layer}.${name}`);
    switch (name) {
      case "embeddings.positions":
      case "decoder.vectors":
        return changes.noPositions ? tensor.mul(0) : tensor;
      case "attention.scores":
        return (changes.noScale ? at(layer, "attention.dot_products") : tensor).div(changes.attentionTemperature ?? 1);
      case "attention.context":
        return this.withoutHeads(tensor, layer);
      case "attention_residual":
        return changes.residualsOff?.includes("attention") ? at(layer, "attention.output") : tensor;
      case "feed_forward_residual":
        return changes.residualsOff?.includes("feed_forward") ? at(layer, "feed_forward") : tensor;
      case "output":
        if (!changes.layersOff?.includes(layer)) {
          return tensor;
        }
        return layer > 0 ? at(layer - 1, "output") : this.at(firstInput((path) => this.tensors.has(path)));
      default:
        return tensor;
    }
  }

  /**
   * Set the context of the heads that are off to zero.
   * @param {FloatTensor} context - (batch heads queries width)
   * @param {number} layer
   */
  withoutHeads(context, layer) {
    const heads = context.shape[1];
    const isOff = new FloatTensor([heads, 1, 1]);
    for (const [number, head] of this.changes.headsOff ?? []) {
      if (number === layer && head < heads) {
        isOff.data[head] = 1;
      }
    }
    return context.masked_fill(isOff, 0);
  }

  /**
   * Overwrite single numbers.
   * @param {string} path
   * @param {FloatTensor} tensor
   */
  withCells(path, tensor) {
    const cells = Object.entries(this.changes.cells?.[path] ?? {});
    if (cells.length === 0) {
      return tensor;
    }
    const changed = tensor.map((value) => value);
    for (const [cell, value] of cells) {
      const place = placeOf(cell, tensor.shape);
      if (place !== null) {
        changed.data[place] = value;
      }
    }
    return changed;
  }

  /**
   * Return the tensor of a path that was observed before.
   * @param {string} path
   */
  at(path) {
    return /** @type {FloatTensor} */ (this.tensors.get(path));
  }
}

/**
 * Return the index of a cell into the flattened tensor, or null if the tensor does not have the cell.
 * @param {string} cell - Its indices along each axis, such as "0,1,2".
 * @param {number[]} shape
 */
function placeOf(cell, shape) {
  const indices = cell.split(",").map(Number);
  const isInside = indices.length === shape.length && indices.every((index, axis) => index >= 0 && index < shape[axis]);
  return isInside ? indices.reduce((place, index, axis) => place * shape[axis] + index, 0) : null;
}

/**
 * Return the path of the input of the first layer.
 * @param {(path: string) => boolean} has - Whether there is a tensor at a path.
 */
function firstInput(has) {
  return ["projection", "decoder.embeddings.sum"].find(has) ?? "embeddings.output";
}

/** @type {Recording | null} The recording of the forward pass that is running. */
let recording = null;

/**
 * Compute a forward pass, and return every tensor that it observes.
 * @param {Changes} changes
 * @param {() => void} compute
 */
function record(changes, compute) {
  const current = new Recording(changes);
  recording = current;
  try {
    compute();
  } finally {
    recording = null;
  }
  return current.tensors;
}

/**
 * Return a tensor. In a recording it is also kept under its name, and the changes of the reader are made.
 * @param {string} name
 * @param {FloatTensor} tensor
 */
function observe(name, tensor) {
  return recording === null ? tensor : recording.observe(name, tensor);
}

/**
 * Compute a module. Its name is part of the paths of the tensors that are observed inside it.
 * @param {string} module
 * @param {() => FloatTensor} compute
 */
function within(module, compute) {
  recording?.modules.push(module);
  const result = compute();
  recording?.modules.pop();
  return result;
}
