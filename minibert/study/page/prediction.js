// Predict first: a number is hidden until the reader types one.

/**
 * Read a number as people type it: "-0,5", "−1.2e-3", "-inf".
 * @param {string} text
 * @returns {{value: number, unit: number, digits: number} | null} `unit` is the place value of the last digit.
 */
function readNumber(text) {
  const plain = text.trim().replaceAll(MINUS, "-").replace(",", ".");
  const infinity = plain.match(/^([+-]?)(inf|infinity|∞)$/i);
  if (infinity) {
    return { value: infinity[1] === "-" ? Number.NEGATIVE_INFINITY : Number.POSITIVE_INFINITY, unit: 0, digits: 2 };
  }
  const parts = plain.match(/^[+-]?(\d*)\.?(\d*)(?:e([+-]?\d+))?$/i);
  if (!parts || parts[1] + parts[2] === "") {
    return null;
  }
  const unit = 10 ** (Number(parts[3] ?? 0) - parts[2].length);
  return { value: Number(plain), unit, digits: (parts[1] + parts[2]).replace(/^0+/, "").length };
}

/**
 * Return whether a number is the typed one, rounded to the digits that were typed.
 * @param {{value: number, unit: number}} typed
 * @param {number} value
 */
function agrees(typed, value) {
  return typed.value === value || Math.abs(typed.value - value) <= typed.unit * (0.5 + 1e-6) + 1e-6 * Math.abs(value);
}

/**
 * Judge a prediction.
 * @param {string} text
 * @param {number} value - The recorded number.
 * @param {{message: string, value: number | undefined}[]} mistakes - The number that each known mistake would give.
 * @returns {{verdict: "right" | "wrong" | "unclear", message: string}}
 */
function judge(text, value, mistakes) {
  const typed = readNumber(text);
  if (!typed) {
    return { verdict: "unclear", message: "This is not a number. Type a number such as 0.25, −1.5 or 3e−4." };
  }
  if (agrees(typed, value)) {
    const isExact = typed.value === value;
    const isCoarse = typed.digits < 2 && !isExact;
    return {
      verdict: "right",
      message: isCoarse ? "Right to the digits you typed. With two digits or more it says more." : "Right.",
    };
  }
  const mistake =
    typed.digits < 2
      ? undefined
      : mistakes.find((each) => each.value !== undefined && agrees(typed, each.value) && !Object.is(each.value, value));
  return {
    verdict: "wrong",
    message: mistake ? `Not right. This is the number of a known mistake: ${mistake.message}` : "Not right.",
  };
}
