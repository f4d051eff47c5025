// The overview: the attention weights of every head of every layer as small heat maps.

class Heads {
  /**
   * @param {HTMLElement} container
   * @param {Walk} walk
   * @param {(path: string, slice: number, row: number, column: number) => string} address
   */
  constructor(container, walk, address) {
    this.container = container;
    this.walk = walk;
    this.address = address;
    this.isDrawn = false;
    container.addEventListener("mousemove", (event) => this.nameWeight(event));
    /** @type {(() => void)[]} What is still to be painted. */
    this.paintings = [];
  }

  /**
   * Draw the maps of another walk when they are shown next.
   * @param {Walk} walk
   */
  replaceWalk(walk) {
    this.walk = walk;
    this.isDrawn = false;
    this.paintings = [];
    this.container.querySelectorAll("h3, ul").forEach((part) => {
      part.remove();
    });
  }

  /** Draw the heat maps, once. */
  show() {
    if (this.isDrawn) {
      return;
    }
    this.isDrawn = true;
    for (const path of this.walk.data.overview) {
      const step = this.walk.step(path);
      const tensor = this.walk.tensor(path);
      if (step && tensor) {
        const maps = Array.from({ length: tensor.slices }, (_, slice) => element("li", {}, this.map(step, tensor, slice)));
        this.container.append(element("h3", {}, `${step.group}: ${step.name}`), element("ul", { class: "heads" }, ...maps));
      }
    }
    this.paintNext();
  }

  paintNext() {
    this.paintings.shift()?.();
    if (this.paintings.length > 0) {
      window.setTimeout(() => this.paintNext());
    }
  }

  /**
   * @param {Step} step
   * @param {Tensor} tensor
   * @param {number} slice
   */
  map(step, tensor, slice) {
    const canvas = element("canvas", { "aria-hidden": "true", "data-rows": tensor.rows, "data-columns": tensor.columns });
    const text = element("small");
    const link = element(
      "a",
      { href: this.address(step.path, slice, 0, 0), "data-step": step.path, "data-slice": slice },
      canvas,
      sliceText(step.axes, slice),
      text,
    );
    this.paintings.push(() => {
      paint(canvas, tensor, slice, 1);
      const { row, column } = strongest(tensor, slice);
      setText(text, this.weightText(step, tensor, slice, row, column));
      setAttributes(link, { href: this.address(step.path, slice, row, column) });
    });
    return link;
  }

  /**
   * Return a weight with its tokens: from which query to which key.
   * @param {Step} step
   * @param {Tensor} tensor
   * @param {number} slice
   * @param {number} row
   * @param {number} column
   */
  weightText(step, tensor, slice, row, column) {
    const [from, to] = [row, column].map((position, n) => isolated(this.walk.label(step.axes.at(n - 2), position)) || position);
    return `${short(tensor.at(tensor.index(slice, row, column)))}: ${from} → ${to}`;
  }

  /**
   * Name the weight under the pointer.
   * @param {MouseEvent} event
   */
  nameWeight(event) {
    const link = event.target instanceof HTMLCanvasElement ? event.target.closest("a") : null;
    const { row, column } = cellOfMap(event);
    const step = this.walk.step(link?.dataset.step ?? "");
    const tensor = step && this.walk.tensor(step.path);
    if (link && tensor && row !== undefined && column !== undefined) {
      link.title = this.weightText(step, tensor, Number(link.dataset.slice), row, column);
    }
  }
}

/**
 * Return the largest number of a slice, outside the diagonal where possible: the diagonal of attention is easy to guess.
 * @param {Tensor} tensor
 * @param {number} slice
 */
function strongest(tensor, slice) {
  let best = { row: 0, column: 0, value: Number.NEGATIVE_INFINITY };
  for (let row = 0; row < tensor.rows; row++) {
    for (let column = 0; column < tensor.columns; column++) {
      const value = tensor.at(tensor.index(slice, row, column)) ?? Number.NEGATIVE_INFINITY;
      if ((row !== column || tensor.rows === 1) && value > best.value) {
        best = { row, column, value };
      }
    }
  }
  return best;
}

/**
 * Return the position on the axes in front of the matrix as text, such as "head 3".
 * @param {Axis[]} axes
 * @param {number} slice
 */
function sliceText(axes, slice) {
  const leading = axes.slice(0, -2);
  const at = coordinates(
    slice,
    leading.map((axis) => axis.size),
  );
  const parts = leading.map((axis, n) => (axis.size > 1 ? `${singular(axis.name)} ${at[n]}` : ""));
  return parts.filter(Boolean).join(", ");
}

/**
 * Return a position on an axis as text, such as "key 3 cat".
 * @param {Walk} walk
 * @param {Axis | undefined} axis
 * @param {number} position
 */
function positionText(walk, axis, position) {
  if (!axis) {
    return "";
  }
  return [singular(axis.name), position, isolated(walk.label(axis, position))].filter((part) => part !== "").join(" ");
}

/** @param {string} name */
function singular(name) {
  return name.replace(/ies$/, "y").replace(/(ss)es$|([^s])s$/, "$1$2");
}
