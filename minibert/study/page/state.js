// The state of the page, kept in the hash of its address: the step, the slice (head), the cell, and what is pinned.

/**
 * `slice` is an index into all axes but the last two, flattened. `pin` is a pinned cell: the explanation stays with it.
 * `sortedBy` is a row: the columns are shown in the order of its values, the largest first.
 * @typedef {object} State
 * @property {"step" | "heads"} view
 * @property {string} step
 * @property {number} slice
 * @property {number} row
 * @property {number} column
 * @property {[number, number] | null} pin
 * @property {number | null} sortedBy
 * @property {boolean} predict
 */

/**
 * Write the state as the hash of an address.
 * @param {State} state
 */
function formatHash(state) {
  const fields = new URLSearchParams({ step: state.step });
  if (state.view === "heads") {
    fields.set("view", "heads");
  }
  fields.set("slice", String(state.slice));
  fields.set("cell", `${state.row},${state.column}`);
  if (state.pin) {
    fields.set("pin", state.pin.join(","));
  }
  if (state.sortedBy !== null) {
    fields.set("sort", String(state.sortedBy));
  }
  if (state.predict) {
    fields.set("predict", "1");
  }
  return `#${fields.toString().replaceAll("%2C", ",")}`;
}

/**
 * Read a state from the hash of an address. Whatever is missing or impossible has its first possible value.
 * @param {string} hash
 * @param {Walk} walk
 * @returns {State}
 */
function parseHash(hash, walk) {
  const fields = new URLSearchParams(hash.replace(/^#/, ""));
  const [row, column] = numbers(fields.get("cell"));
  const pin = numbers(fields.get("pin"));
  const sort = fields.get("sort");
  return possible(
    {
      view: fields.get("view") === "heads" ? "heads" : "step",
      step: fields.get("step") ?? "",
      slice: Number.parseInt(fields.get("slice") ?? "", 10),
      row,
      column,
      pin: pin.length === 2 ? [pin[0], pin[1]] : null,
      sortedBy: sort === null ? null : Number.parseInt(sort, 10),
      predict: fields.get("predict") === "1",
    },
    walk,
  );
}

/** @param {string | null} text */
function numbers(text) {
  return text ? text.split(",").map((part) => Number.parseInt(part, 10)) : [];
}

/**
 * Return the nearest state that exists: a known step, and cells inside its tensor that the page has.
 * @param {State} state
 * @param {Walk} walk
 * @returns {State}
 */
function possible(state, walk) {
  const step = walk.step(state.step) ?? walk.steps[0];
  const tensor = walk.tensor(step.path);
  const view = walk.data.overview.length > 0 ? state.view : "step";
  if (!tensor) {
    return { ...state, view, step: step.path, slice: 0, row: 0, column: 0, pin: null, sortedBy: null };
  }
  /**
   * @param {number | undefined} index
   * @param {number} size
   * @param {number} start
   */
  const inside = (index, size, start) =>
    index === undefined || !Number.isInteger(index) ? start : Math.min(Math.max(index, 0), Math.max(size - 1, 0));
  const first = tensor.firstCell();
  const { rows, columns } = tensor;
  const slice = inside(state.slice, tensor.slices, first.slice);
  const sortedBy = state.sortedBy === null ? null : inside(state.sortedBy, rows, first.row);
  return {
    view,
    step: step.path,
    slice,
    row: inside(state.row, rows, first.row),
    column: inside(state.column, columns, sortedBy === null ? 0 : largestColumn(tensor, slice, sortedBy)),
    pin: state.pin && [inside(state.pin[0], rows, first.row), inside(state.pin[1], columns, 0)],
    sortedBy,
    predict: state.predict,
  };
}

/**
 * Return the column with the largest number of a row.
 * @param {Tensor} tensor
 * @param {number} slice
 * @param {number} row
 */
function largestColumn(tensor, slice, row) {
  /** @param {number} column */
  const value = (column) => tensor.at(tensor.index(slice, row, column)) ?? Number.NEGATIVE_INFINITY;
  let largest = 0;
  for (let column = 1; column < tensor.columns; column++) {
    largest = value(column) > value(largest) ? column : largest;
  }
  return largest;
}

/** Writes states to the address. Browsers allow only some writes a second, so quick changes are written together. */
class Address {
  constructor() {
    this.lastWrite = Number.NEGATIVE_INFINITY;
    this.isEntry = false;
    this.hash = "";
    this.timer = 0;
  }

  /**
   * @param {string} hash
   * @param {boolean} isEntry - Make an entry that the back button returns to.
   */
  write(hash, isEntry) {
    this.hash = hash;
    this.isEntry ||= isEntry;
    window.clearTimeout(this.timer);
    const wait = this.lastWrite + 250 - performance.now();
    if (wait <= 0) {
      this.flush();
    } else {
      this.timer = window.setTimeout(() => this.flush(), wait);
    }
  }

  /** Forget a state that waits: the address has a newer one. */
  cancel() {
    window.clearTimeout(this.timer);
    this.isEntry = false;
  }

  flush() {
    const url = new URL(window.location.href);
    if (url.hash !== this.hash) {
      url.hash = this.hash;
      window.history[this.isEntry ? "pushState" : "replaceState"](null, "", url);
    }
    this.isEntry = false;
    this.lastWrite = performance.now();
  }
}
