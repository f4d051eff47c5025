// Predict first: a number is hidden until the reader types one.

const ROUNDING = 1e-5;
const MIN_DIGITS = 2; // in which a number can be recognized
const NEAR = 5e-4; // largest rounding of a calculation with the numbers of a table, relative to the result,
const NEAR_SUM = 1e-4; // and to the numbers in its sum
const SIGN = "The sign is wrong.";

/**
 * Read a number as people type it: "-0,5", "−1.2e-3", "-inf".
 * @param {string} text
 * @returns {{value: number, unit: number, digits: number} | null} `unit` is the place value of the last digit.
 */
function readNumber(text) {
  const plain = text.trim().replaceAll(MINUS, "-").replace(",", ".").replace("∞", "inf").toLowerCase();
  if (/^[+-]?inf(inity)?$|^nan$/.test(plain)) {
    const size = plain === "nan" ? Number.NaN : Number.POSITIVE_INFINITY;
    return { value: plain.startsWith("-") ? -size : size, unit: 0, digits: MIN_DIGITS };
  }
  const parts = plain.match(/^[+-]?([0-9]*)\.?([0-9]*)(?:e([+-]?[0-9]{1,2}))?$/);
  if (!parts || parts[1] + parts[2] === "") {
    return null;
  }
  const unit = 10 ** (Number(parts[3] ?? 0) - parts[2].length);
  return { value: Number(plain), unit, digits: (parts[1] + parts[2]).replace(/^0+/, "").length };
}

/**
 * Return whether a number is the typed one, rounded to the digits that were typed. Zero is not a rounded number.
 * @param {{value: number, unit: number}} typed
 * @param {number} value
 */
function agrees(typed, value) {
  if (typed.value === value || (Number.isNaN(typed.value) && Number.isNaN(value))) {
    return true;
  }
  if (typed.value === 0) {
    return Math.abs(value) < ROUNDING;
  }
  const difference = Math.abs(typed.value - value);
  return Number.isFinite(difference) && difference <= typed.unit * (0.5 + 1e-6) + 1e-6 * Math.abs(value);
}

/**
 * Return the distance of a typed number from another if it can be the rounding of a calculation, or else infinity.
 * @param {{value: number, unit: number, digits: number}} typed
 * @param {number} value
 * @param {number} magnitude
 */
function distance(typed, value, magnitude) {
  if (Object.is(typed.value, value) || typed.value === value) {
    return 0;
  }
  const difference = Math.abs(typed.value - value);
  const allowed = Math.max(NEAR * Math.abs(value), NEAR_SUM * magnitude);
  const isNear = typed.value !== 0 && difference <= allowed && allowed < Number.POSITIVE_INFINITY;
  return isNear || (typed.digits >= MIN_DIGITS && agrees(typed, value)) ? difference : Number.POSITIVE_INFINITY;
}

/**
 * Judge a prediction, with the words of `classroom/step_mistakes.py`.
 * @param {string} text
 * @param {number} value - The recorded number.
 * @param {{message: string, value: number | undefined}[]} mistakes - The number that each known mistake gives.
 * @param {number} [magnitude] - Norm of the terms that the recorded one is a sum of.
 * @returns {{verdict: "right" | "wrong" | "unclear", message: string}}
 */
function judge(text, value, mistakes, magnitude = 0) {
  const typed = readNumber(text);
  if (!typed) {
    return { verdict: "unclear", message: "This is not a number. Type a number such as 0.25, -1.5 or 3e-4." };
  }
  if (agrees(typed, value)) {
    return typed.digits < MIN_DIGITS && typed.value !== value && typed.value !== 0
      ? { verdict: "unclear", message: "Right so far: this is the number with one digit. Type at least two digits." }
      : { verdict: "right", message: "Right." };
  }
  let [nearest, named] = [Number.POSITIVE_INFINITY, ""];
  for (const { message, value: mistaken } of [...mistakes, { message: SIGN, value: -value }]) {
    if (mistaken !== undefined && !isClose(mistaken, value) && distance(typed, mistaken, 0) < nearest) {
      [nearest, named] = [distance(typed, mistaken, 0), message];
    }
  }
  const right = distance(typed, value, magnitude);
  if (right < Number.POSITIVE_INFINITY && right <= nearest) {
    return { verdict: "right", message: "Right." };
  }
  return {
    verdict: "wrong",
    message: named
      ? `Not right. This is the number of a known mistake. ${named}`
      : "Not right, and not the number of a known mistake.",
  };
}

/**
 * Return whether rounding hides the difference of two numbers.
 * @param {number} one
 * @param {number} other
 */
function isClose(one, other) {
  return one === other || (Number.isFinite(other) && Math.abs(one - other) <= ROUNDING * Math.abs(other));
}

/**
 * Return an expression with an omission; see `omissions.py`.
 * @param {Tree} tree
 * @param {Pick<Omission, "place" | "kept">} omission
 * @returns {Tree}
 */
function changed(tree, { place: [first, ...rest], kept }) {
  if (typeof tree !== "object" || "leaf" in tree) {
    return tree;
  }
  if (first !== undefined) {
    return { ...tree, args: tree.args.map((arg, n) => (n === first ? changed(arg, { place: rest, kept }) : arg)) };
  }
  if (typeof kept !== "string") {
    return kept.reduce((/** @type {any} */ part, position) => part.args[position], tree);
  }
  return kept === "no bias" ? { ...tree, args: tree.args.slice(0, 2) } : { ...tree, op: kept };
}

/**
 * Return the Euclidean norm of the terms that a cell is a sum of: the rounding of each changes the cell by a share of it.
 * @param {Expression} node
 * @param {number} cell
 * @returns {number}
 */
function magnitude(node, cell) {
  const sizes = () => node.parts(cell).map((part) => magnitude(part.node, part.cell));
  if (VIEWS.has(node.op) || node.op === "add" || node.op === "sub") {
    return Math.hypot(...sizes());
  }
  if (node.isContraction && node.op !== "mean" && node.op !== "amax") {
    return Math.sqrt(node.termValues(cell).reduce((sum, term) => sum + term * term, 0));
  }
  if (node.op === "mul" || node.op === "div") {
    const [one, other] = sizes();
    return node.op === "mul" ? one * other : one / Math.abs(node.args[1].value(node.cellOf(1, cell)));
  }
  return Math.abs(node.value(cell));
}
