// Numbers and labels as text. Minus is "−", which screen readers and readers tell from a hyphen.

const MINUS = "−";

/**
 * Return a number with about three digits, for a table.
 * @param {number | undefined} value - undefined: the page does not have the number.
 * @param {boolean} [signed] - Write the sign of positive numbers too.
 */
function short(value, signed = false) {
  return withSign(value, signed, (size) => {
    if (Number.isInteger(size) && size < 1e6) {
      return String(size);
    }
    if (size < 5e-4 || size >= 1e5) {
      return size.toExponential(0);
    }
    return size.toFixed(size < 1 ? 3 : size < 100 ? 2 : 0);
  });
}

/**
 * Return a number with about five digits, for a calculation.
 * @param {number | undefined} value
 */
function precise(value) {
  return withSign(value, false, (size) => {
    if (Number.isInteger(size) && size < 1e6) {
      return String(size);
    }
    return size < 1e-3 || size >= 1e6 ? size.toExponential(3) : size.toPrecision(5);
  });
}

/**
 * Return the fewest digits that identify a float32 number.
 * @param {number | undefined} value
 */
function exact(value) {
  return withSign(value, false, (size) => {
    for (let digits = 1; digits < 10; digits++) {
      if (Math.fround(Number(size.toPrecision(digits))) === Math.fround(size)) {
        return String(Number(size.toPrecision(digits)));
      }
    }
    return String(size);
  });
}

/**
 * @param {number | undefined} value
 * @param {boolean} signed
 * @param {(size: number) => string} format - Writes a positive finite number.
 */
function withSign(value, signed, format) {
  if (value === undefined) {
    return "·";
  }
  if (Number.isNaN(value)) {
    return "NaN";
  }
  const sign = value < 0 ? MINUS : signed && value > 0 ? "+" : "";
  return sign + (Number.isFinite(value) ? format(Math.abs(value)).replace("e-", `e${MINUS}`).replace("e+", "e") : "∞");
}

/**
 * Return a shape as text, with the names of the axes. Axes of size 1 in front, such as the batch, are left out.
 * @param {Axis[]} axes
 */
function shapeText(axes) {
  const shown = axes.slice(leadingOnes(axes.map((axis) => axis.size)));
  return shown.map((axis) => `${axis.name} ${axis.size}`.trim()).join(" × ") || "one number";
}

/**
 * Return how many axes in front of the matrix have size 1.
 * @param {number[]} shape
 */
function leadingOnes(shape) {
  const first = shape.findIndex((size, axis) => size !== 1 || axis >= shape.length - 2);
  return Math.max(first, 0);
}

/**
 * Return a symbol as text with raised and lowered parts, such as e^w.
 * @param {string} symbol
 * @returns {(Node | string)[]}
 */
function symbolParts(symbol) {
  return symbol
    .split(/([\^_](?:\{[^}]*\}|.))/u)
    .map((part) => {
      const inner = part.slice(1).replace(/^\{|\}$/g, "");
      return /^[\^_]./u.test(part) ? element(part[0] === "^" ? "sup" : "sub", {}, inner) : part;
    })
    .filter(Boolean);
}

/**
 * Return a name with places where a line may break.
 * @param {string} name
 */
function breakable(name) {
  return name.split(/(?<=\.)/).flatMap((part, n) => (n > 0 ? [element("wbr"), part] : [part]));
}

/**
 * Return text for use inside of other text, which keeps its order if the text is written from right to left.
 * @param {string} text
 */
function isolated(text) {
  return text && `\u2068${text}\u2069`;
}
