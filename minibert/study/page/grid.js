// A matrix as a table. Only a window of rows and columns is in the document; it moves with the selected cell.

const MAX_ROWS = 24;
const MAX_COLUMNS = 24;
const MIN_COLUMNS = 2;
const FEW_COLUMNS = 12; // so many are shown together if scrolling by less than a column shows the last one
const CELL_WIDTH = 3.75; // in rem, as in page.css
const MAX_HEADER_WIDTH = 5.2;
const CHARACTER_WIDTH = 0.52;
const MEASURED_LABELS = 200;

/**
 * `order`: the columns in the order in which they are shown, or null for their own order.
 * `hidden`: whether the number of a cell must not be shown.
 * @typedef {object} Matrix
 * @property {string} caption
 * @property {string} path
 * @property {Tensor} tensor
 * @property {number} slice
 * @property {Axis | undefined} rowAxis
 * @property {Axis | undefined} columnAxis
 * @property {Int32Array | null} order
 * @property {[number, number]} cursor
 * @property {[number, number] | null} pin
 * @property {(row: number, column: number) => boolean} hidden
 */

class Grid {
  /**
   * @param {HTMLElement} container
   * @param {(axis: Axis | undefined, position: number) => string} label
   */
  constructor(container, label) {
    this.container = container;
    this.label = label;
    /** @type {Matrix | null} */
    this.matrix = null;
    this.firstRow = 0;
    this.firstColumn = 0;
    /** @type {number} Space in rem. */
    this.width = MAX_COLUMNS * CELL_WIDTH;
    /** @type {Map<Axis | undefined, number[]>} Widths of the labels of an axis in rem. */
    this.labelWidths = new Map();
    this.columnCount = 0;
    this.rowCount = 0;
    this.caption = element("caption");
    this.head = element("tr");
    this.body = element("tbody");
    this.table = element("table", { role: "grid", class: "matrix" }, this.caption, element("thead", {}, this.head), this.body);
    this.head.append(element("td", { class: "corner" }));
    container.append(this.table);
  }

  /**
   * Set how much space there is. It is measured when it changes only: a measurement at each key would cost a layout.
   * @param {number} width - In pixels.
   */
  fit(width) {
    const fontSize = Number.parseFloat(getComputedStyle(document.documentElement).fontSize);
    this.width = width / fontSize;
  }

  /**
   * Return how many columns fit, with their labels. Of a long axis, the first labels stand for all.
   * @param {Matrix} matrix
   */
  fittingColumns({ tensor, rowAxis, columnAxis }) {
    const headers = this.widthsOf(columnAxis).map((width) => Math.min(Math.max(width + 0.5, CELL_WIDTH), MAX_HEADER_WIDTH));
    const column = headers.reduce((sum, width) => sum + width, 0) / headers.length;
    const digits = String(tensor.rows - 1).length;
    const space = this.width - Math.min(Math.max(...this.widthsOf(rowAxis)) + digits * CHARACTER_WIDTH, 7) - 0.9;
    if (tensor.columns <= FEW_COLUMNS && tensor.columns * column < space + CELL_WIDTH) {
      return tensor.columns;
    }
    return Math.min(Math.max(Math.floor(space / column), MIN_COLUMNS), MAX_COLUMNS);
  }

  /** @param {Axis | undefined} axis */
  widthsOf(axis) {
    let widths = this.labelWidths.get(axis);
    if (!widths) {
      const count = Math.min(axis?.size ?? 1, MEASURED_LABELS);
      widths = Array.from({ length: Math.max(count, 1) }, (_, n) => this.label(axis, n).length * CHARACTER_WIDTH);
      this.labelWidths.set(axis, widths);
    }
    return widths;
  }

  /**
   * Show a matrix, or the same matrix with another cursor.
   * @param {Matrix} matrix
   */
  show(matrix) {
    this.matrix = matrix;
    const { tensor, cursor } = matrix;
    this.rowCount = Math.min(tensor.rows, MAX_ROWS);
    this.columnCount = Math.min(tensor.columns, this.fittingColumns(matrix));
    this.firstRow = windowStart(this.firstRow, cursor[0], this.rowCount, tensor.rows);
    this.firstColumn = windowStart(this.firstColumn, this.positionOf(cursor[1]), this.columnCount, tensor.columns);
    this.resize();
    this.fill(matrix);
  }

  /** Make the table as large as the window. */
  resize() {
    setAttributes(this.table, {
      "aria-rowcount": (this.matrix?.tensor.rows ?? 0) + 1,
      "aria-colcount": (this.matrix?.tensor.columns ?? 0) + 1,
    });
    resizeChildren(this.head, this.columnCount + 1, () => element("th", { scope: "col" }, element("span"), element("span")));
    resizeChildren(this.body, this.rowCount, () =>
      element("tr", {}, element("th", { scope: "row" }, element("span"), element("span"))),
    );
    for (const row of this.body.rows) {
      resizeChildren(row, this.columnCount + 1, () => element("td", { role: "gridcell" }));
    }
  }

  /** @param {Matrix} matrix */
  fill(matrix) {
    const { tensor, slice, cursor, pin } = matrix;
    const range = tensor.range(slice);
    const columns = Array.from({ length: this.columnCount }, (_, n) => this.columnAt(this.firstColumn + n));
    this.table.dataset.step = matrix.path;
    setText(this.caption, matrix.caption);
    columns.forEach((column, n) => {
      this.fillHeader(this.head.cells[n + 1], matrix.columnAxis, column);
      setAttribute(this.head.cells[n + 1], "aria-colindex", String(this.firstColumn + n + 2));
    });
    for (let n = 0; n < this.rowCount; n++) {
      const line = this.body.rows[n];
      const row = this.firstRow + n;
      this.fillHeader(line.cells[0], matrix.rowAxis, row);
      setAttribute(line, "aria-rowindex", String(row + 2));
      columns.forEach((column, m) => {
        const cell = line.cells[m + 1];
        const isHidden = matrix.hidden(row, column);
        const value = tensor.at(tensor.index(slice, row, column));
        const isCursor = row === cursor[0] && column === cursor[1];
        fillCell(cell, isHidden ? undefined : value, range, tensor.isBoolean);
        if (isHidden) {
          setText(cell, "?");
        }
        setAttribute(cell, "data-row", String(row));
        setAttribute(cell, "data-column", String(column));
        setAttribute(cell, "aria-colindex", String(this.firstColumn + m + 2));
        setAttribute(cell, "tabindex", isCursor ? "0" : "-1");
        setAttribute(cell, "aria-selected", String(isCursor));
        setAttribute(cell, "data-pinned", pin?.[0] === row && pin[1] === column ? "" : null);
      });
    }
  }

  /**
   * @param {HTMLTableCellElement} header
   * @param {Axis | undefined} axis
   * @param {number} position
   */
  fillHeader(header, axis, position) {
    setText(/** @type {Element} */ (header.children[0]), this.label(axis, position));
    setText(/** @type {Element} */ (header.children[1]), String(position));
  }

  /** @param {number} position */
  columnAt(position) {
    return this.matrix?.order?.[position] ?? position;
  }

  /** @param {number} column */
  positionOf(column) {
    return this.matrix?.order?.indexOf(column) ?? column;
  }

  /**
   * Return the cell that a key leads to, or null if the key does not move between cells.
   * @param {string} key
   * @param {boolean} isLargeStep - Move by a whole window, or to the first or last row.
   * @returns {[number, number] | null}
   */
  target(key, isLargeStep) {
    if (!this.matrix) {
      return null;
    }
    const { tensor, cursor } = this.matrix;
    const [row, position] = [cursor[0], this.positionOf(cursor[1])];
    const down = isLargeStep ? this.rowCount : 1;
    const right = isLargeStep ? this.columnCount : 1;
    /** @type {Record<string, [number, number]>} */
    const targets = {
      ArrowUp: [row - down, position],
      ArrowDown: [row + down, position],
      ArrowLeft: [row, position - right],
      ArrowRight: [row, position + right],
      PageUp: [row - this.rowCount, position],
      PageDown: [row + this.rowCount, position],
      Home: [isLargeStep ? 0 : row, 0],
      End: [isLargeStep ? tensor.rows - 1 : row, tensor.columns - 1],
    };
    const target = Object.hasOwn(targets, key) ? targets[key] : null;
    return target && [clamp(target[0], tensor.rows), this.columnAt(clamp(target[1], tensor.columns))];
  }

  /** Give the selected cell the focus. */
  focus() {
    /** @type {HTMLElement | null} */
    const cell = this.table.querySelector("td[tabindex='0']");
    cell?.focus({ preventScroll: false });
  }

  /** Return the range of rows and columns in the window as text. */
  windowText() {
    const { rows, columns } = this.matrix?.tensor ?? { rows: 0, columns: 0 };
    return `${rangeText("rows", this.firstRow, this.rowCount, rows)}, ${rangeText("columns", this.firstColumn, this.columnCount, columns)}`;
  }
}

/**
 * @param {string} name
 * @param {number} first
 * @param {number} count
 * @param {number} size
 */
function rangeText(name, first, count, size) {
  return count === size
    ? `${size} ${size === 1 ? name.slice(0, -1) : name}`
    : `${name} ${first}–${first + count - 1} of ${size}`;
}

/**
 * @param {number} index
 * @param {number} size
 */
function clamp(index, size) {
  return Math.max(0, Math.min(index, size - 1));
}

/**
 * Return the first row (or column) of the window: the same as before if the selected cell is in it.
 * @param {number} start
 * @param {number} selected
 * @param {number} count
 * @param {number} size
 */
function windowStart(start, selected, count, size) {
  const isFar = selected < start - 1 || selected > start + count;
  const nearest = isFar ? selected - Math.floor(count / 2) : Math.min(Math.max(start, selected - count + 1), selected);
  return clamp(nearest, size - count + 1);
}

/**
 * @param {Element} parent
 * @param {number} count
 * @param {() => Element} create
 */
function resizeChildren(parent, count, create) {
  while (parent.childElementCount > count) {
    parent.lastElementChild?.remove();
  }
  while (parent.childElementCount < count) {
    parent.append(create());
  }
}

/**
 * @param {HTMLElement} cell
 * @param {number | undefined} value
 * @param {{largest: number, isSigned: boolean}} range
 * @param {boolean} isBoolean
 */
function fillCell(cell, value, range, isBoolean) {
  setText(cell, isBoolean && value !== undefined ? (value ? "true" : "false") : short(value, range.isSigned));
  setAttribute(cell, "data-value", value === undefined ? null : String(value));
  setAttribute(cell, "data-sign", value === undefined || value === 0 ? null : value < 0 ? "negative" : "positive");
  const strength = heat(value, range.largest).toFixed(2);
  if (cell.dataset.heat !== strength) {
    cell.dataset.heat = strength;
    cell.style.setProperty("--heat", strength);
  }
}

/**
 * Set the text of an element if it is another.
 * @param {Element} target
 * @param {string} text
 */
function setText(target, text) {
  if (target.textContent !== text) {
    target.textContent = text;
  }
}

/**
 * Set an attribute if its value is another; null removes it.
 * @param {Element} target
 * @param {string} name
 * @param {string | null} value
 */
function setAttribute(target, name, value) {
  if (target.getAttribute(name) !== value) {
    setAttributes(target, { [name]: value });
  }
}
