// Predict first: a number is hidden until the reader types one.

const ROUNDING = 1e-5;
const MIN_DIGITS = 2; // in which a mistake can be recognized
const ENOUGH_DIGITS = 4; // a number that agrees to so many is right: a reader calculates with rounded numbers

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
 * Return whether a typed number differs from another by half a unit of its fourth digit at most.
 * @param {{value: number}} typed
 * @param {number} value
 */
function nearlyAgrees(typed, value) {
  if (typed.value === 0 || value === 0 || !Number.isFinite(value)) {
    return false;
  }
  const unit = 10 ** (Math.floor(Math.log10(Math.abs(value))) + 1 - ENOUGH_DIGITS);
  return Math.abs(typed.value - value) <= unit / 2;
}

/**
 * Judge a prediction, with the words of `classroom/step_mistakes.py`.
 * @param {string} text
 * @param {number} value - The recorded number.
 * @param {{message: string, value: number | undefined}[]} mistakes - The number that each known mistake gives.
 * @returns {{verdict: "right" | "wrong" | "unclear", message: string}}
 */
function judge(text, value, mistakes) {
  const typed = readNumber(text);
  if (!typed) {
    return { verdict: "unclear", message: "This is not a number. Type a number such as 0.25, -1.5 or 3e-4." };
  }
  for (const agree of [agrees, nearlyAgrees]) {
    if (agree(typed, value)) {
      const isCoarse = typed.digits < MIN_DIGITS && typed.value !== value;
      return {
        verdict: "right",
        message: isCoarse ? "Right to the digits you typed. With two digits or more it says more." : "Right.",
      };
    }
    for (const { message, value: mistaken } of mistakes) {
      if (mistaken !== undefined && agree(typed, mistaken) && (typed.digits >= MIN_DIGITS || typed.value === mistaken)) {
        return { verdict: "wrong", message: `Not right. This is the number of a known mistake. ${message}` };
      }
    }
  }
  const known = mistakes.length > 0 ? ", and not the number of a known mistake" : "";
  return { verdict: "wrong", message: `Not right${known}.` };
}
