// The table of the terms of a sum, the largest first, with a running sum.

const MOST_TERMS = 1000;
const CONTRACTION_NAMES = { sum: "Sum", mean: "Mean", amax: "Maximum", matmul: "Sum", linear: "Sum" };

/**
 * Return a table of the terms of a contraction.
 * @param {Walk} walk
 * @param {Contraction} contraction
 * @param {boolean} showsAll
 * @param {boolean} isHidden - Show no sums: they would give the hidden number away.
 * @param {(path: string, slice: number, row: number, column: number) => string} address
 */
function termTable(walk, contraction, showsAll, isHidden, address) {
  const { node, cell } = contraction;
  const isMaximum = node.op === "amax";
  const limit = isMaximum ? 3 : SHOWN_TERMS;
  const values = node.termValues(cell);
  const shown = largestTerms(node, cell, showsAll ? MOST_TERMS : limit);
  const isProduct = PRODUCTS.has(node.op);
  const names = factorNames(walk, contraction);
  const hasSum = !isMaximum && !isHidden;
  const headings = [[names.position], ...names.factors, [isProduct ? "product" : "term"], ...(hasSum ? [["sum"]] : [])];
  const body = element("tbody");
  let total = 0;
  for (const position of shown) {
    total += values[position];
    const factors = factorsOf(node, cell, position).map((factor) => element("td", {}, factorLink(walk, factor, address)));
    const cells = [element("th", { scope: "row" }, names.label(position)), ...factors, numberCell(values[position])];
    body.append(element("tr", {}, ...cells, ...(hasSum ? [numberCell(total)] : [])));
  }
  const span = names.factors.length + 1;
  /**
   * @param {string} name
   * @param {number | null} value
   */
  const line = (name, value) => {
    total += value ?? 0;
    const cells = [element("th", { scope: "row", colspan: span }, name), value === null ? element("td") : numberCell(value)];
    body.append(element("tr", {}, ...cells, ...(hasSum ? [numberCell(total)] : [])));
  };
  if (shown.length < values.length) {
    const rest = isMaximum ? null : values.reduce((sum, value) => sum + value, 0) - total;
    line(`${values.length - shown.length} more`, rest);
  }
  if (node.hasBias) {
    line("bias", node.args[2].value(node.cellOf(2, cell)));
  }
  if (node.op === "mean" && hasSum) {
    body.append(
      element(
        "tr",
        {},
        element("th", { scope: "row", colspan: span + 1 }, `divided by ${node.terms}`),
        numberCell(total / node.terms),
      ),
    );
  }
  const kind = isProduct ? (node.terms === 1 ? "product" : "products") : "numbers";
  const order = isMaximum ? "the largest" : "the largest magnitude";
  const caption = `${CONTRACTION_NAMES[/** @type {keyof typeof CONTRACTION_NAMES} */ (node.op)]} of ${node.terms} ${kind}, ${order} first`;
  const table = element("table", { class: "terms" }, element("caption", {}, caption), headerRow(headings), body);
  const label = showsAll ? "Show fewer" : `Show ${Math.min(values.length, MOST_TERMS)}`;
  const button = values.length > limit ? [element("button", { type: "button" }, label)] : [];
  return element("div", { class: "scroll", tabindex: 0, role: "group", "aria-label": caption }, table, ...button);
}

/** @param {(Node | string)[][]} headings */
function headerRow(headings) {
  return element("thead", {}, element("tr", {}, ...headings.map((heading) => element("th", { scope: "col" }, ...heading))));
}

/** @param {number} value */
function numberCell(value) {
  return element("td", { "data-value": String(value) }, precise(value));
}

/**
 * Return a factor as a link to the step that computed it.
 * @param {Walk} walk
 * @param {{value: number, source: Source | null} | undefined} factor
 * @param {(path: string, slice: number, row: number, column: number) => string} address
 */
function factorLink(walk, factor, address) {
  if (!factor) {
    return "";
  }
  const path = factor.source?.leaf.leaf;
  if (!factor.source || !path || !walk.step(path)) {
    return precise(factor.value);
  }
  const axes = walk.axes(path);
  const { slice, row, column } = matrixCell(
    coordinates(
      factor.source.cell,
      axes.map((axis) => axis.size),
    ),
    axes,
  );
  return element("a", { href: address(path, slice, row, column) }, precise(factor.value));
}

/**
 * Return the names of the factors, such as "Q[3, k]", and the name and labels of the axis that the sum is over.
 * @param {Walk} walk
 * @param {Contraction} contraction
 */
function factorNames(walk, { node, cell }) {
  const first = factorsOf(node, cell, 0);
  const second = factorsOf(node, cell, Math.min(1, node.terms - 1));
  /** @type {Axis | undefined} */
  let axis;
  const factors = first.map((factor, n) => {
    const path = factor.source?.leaf.leaf;
    const other = second[n]?.source;
    if (!factor.source || !path || !other) {
      return [`factor ${n + 1}`];
    }
    const axes = walk.axes(path);
    const shape = axes.map((each) => each.size);
    const [at, next] = [coordinates(factor.source.cell, shape), coordinates(other.cell, shape)];
    const changing = at.findIndex((index, position) => index !== next[position]);
    if (changing >= 0 && (!axis || (axis.labels === null && axes[changing].labels !== null) || axis.name === "")) {
      axis = axes[changing];
    }
    const indices = at.map((index, position) => (index === next[position] ? String(index) : "k"));
    return [...symbolOf(walk, path), `[${indices.slice(leadingOnes(shape)).join(", ")}]`];
  });
  const named = axis;
  return {
    factors,
    position: named?.name ? `k: ${singular(named.name)}` : "k",
    /** @param {number} position */
    label: (position) => [isolated(walk.label(named, position)), position].filter((part) => part !== "").join(" "),
  };
}

/**
 * Return the symbol of a step or of a parameter, or else the last part of its name.
 * @param {Walk} walk
 * @param {string} path
 */
function symbolOf(walk, path) {
  const parts = symbolParts(walk.symbol(path));
  return parts.length > 0 ? parts : [path.split(".").at(-1) ?? ""];
}
