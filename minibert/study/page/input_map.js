// A small heat map of an input, which shows the cells that were used.

/** A small heat map of an input, with frames around the cells that were used. */
class InputMap {
  /** @param {Tensor} tensor */
  constructor(tensor) {
    this.tensor = tensor;
    this.slice = -1;
    this.canvas = element("canvas");
    this.root = element("div", { class: "map", "aria-hidden": "true" }, this.canvas);
    this.root.style.setProperty("--ratio", String(Math.min(Math.max(tensor.columns / tensor.rows, 1), 16)));
  }

  /** @param {{low: number[], high: number[]}[]} boxes */
  show(boxes) {
    const { shape, rows, columns } = this.tensor;
    const axes = shape.map((size) => ({ name: "", size, labels: null }));
    const slice = boxes.length > 0 ? matrixCell(boxes[0].low, axes).slice : 0;
    if (slice !== this.slice) {
      this.slice = slice;
      window.setTimeout(() => paint(this.canvas, this.tensor, slice)); // after the numbers: painting takes longer
    }
    const frames = boxes.map(({ low, high }) => {
      const [start, end] = [matrixCell(low, axes), matrixCell(high, axes)];
      const frame = element("div", { class: "frame" });
      frame.style.setProperty("--top", String(start.row / rows));
      frame.style.setProperty("--left", String(start.column / columns));
      frame.style.setProperty("--height", String((end.row - start.row + 1) / rows));
      frame.style.setProperty("--width", String((end.column - start.column + 1) / columns));
      return frame;
    });
    this.root.replaceChildren(this.canvas, ...frames);
  }
}
