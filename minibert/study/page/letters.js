// The characters of a text with their places, and what normalizers make of them.
//
// The results are those of the library `tokenizers`, whose tables of characters are those of Unicode 8. Browsers know more.

/**
 * A character, and the range of characters of the text that it comes from.
 * @typedef {{character: string, span: [number, number]}} Letter
 */

const SPACE = /[\p{White_Space}]/u;
/** Characters that the library neither decomposes nor moves behind other accents. */
const NEW_COMPOSED = charactersOf(`
  7fd 897-89f 8ca-8d3 9fe c3c d3b-d3c eba 1715 1abf-1add 1ae0-1aeb 1df6-1dfa a82c 105c9 105e4 10d24-10d27 10d69-10d6d
  10eab-10eac 10efa-10efb 10efd-10eff 10f46-10f50 10f82-10f85 11070 1133b 11383 11385 1138e 11391 113c5 113c7-113c8
  113ce-113d0 1145e 11839-1183a 11938 1193d-1193e 11943 119e0 11a34 11a47 11a99 11d42 11d44-11d45 11d97 11f41-11f42
  16121-16128 1612f 16d68-16d6a 16ff0-16ff1 1e08f 1e130-1e136 1e2ae 1e2ec-1e2ef 1e4ec-1e4ef 1e5ee-1e5ef 1e6e3 1e6e6
  1e6ee-1e6ef 1e6f5`);

/** Characters that normalization form NFKD of the library does not replace. */
const NEW_COMPATIBLE = charactersOf(`
  32ff a7f1-a7f4 ab69 10781-10785 10787-107b0 107b2-107ba 1ccd6-1ccf9 1e030-1e06d 1f16c 1fbf0-1fbf9`);

/**
 * Return an expression for one character of some ranges. It is a group, so that `split` keeps the character.
 * @param {string} ranges - Code points in hexadecimal notation.
 */
function charactersOf(ranges) {
  const parts = ranges.trim().split(/\s+/);
  return new RegExp(`([${parts.map((range) => range.replace(/[0-9a-f]+/g, "\\u{$&}")).join("")}])`, "u");
}

/**
 * Return the source of an expression for a text as it is.
 * @param {string} text
 */
function literalPattern(text) {
  return text.replace(/[\\^$.*+?()[\]{}|/]/g, "\\$&");
}

/**
 * Return the characters of a text with their places.
 * @param {string} text
 * @param {number} start - The place of the first one.
 * @returns {Letter[]}
 */
function lettersOf(text, start) {
  return [...text].map((character, place) => ({ character, span: [start + place, start + place + 1] }));
}

/** @param {Letter[]} letters */
function textOf(letters) {
  return letters.map(({ character }) => character).join("");
}

/**
 * Replace each character by others, which come from the same place.
 * @param {Letter[]} letters
 * @param {(character: string) => string[]} replace
 */
function replaced(letters, replace) {
  return letters.flatMap(({ character, span }) => replace(character).map((other) => ({ character: other, span })));
}

/**
 * Decompose characters into letters and accents, and put the accents in their order.
 *
 * As in the library, an accent that is moved does not take its place in the text along: the characters in their new order get
 * the places one after another, and a character that is new gets that of the one before it.
 * @param {Letter[]} letters
 * @param {"NFD" | "NFKD"} form - The normalization form of Unicode. NFKD also replaces characters such as ½ by simpler ones.
 * @returns {Letter[]}
 */
function decomposed(letters, form) {
  /** @type {Map<string, boolean[]>} For each character, in order, whether it is new. */
  const isNew = new Map();
  for (const { character } of letters) {
    [...normalForm(character, form)].forEach((part, number) => {
      isNew.set(part, isNew.get(part) ?? []);
      isNew.get(part)?.push(number > 0);
    });
  }
  let place = 0;
  return [...normalForm(textOf(letters), form)].map((character) => {
    place += isNew.get(character)?.shift() ? 0 : 1;
    return { character, span: letters[Math.max(0, place - 1)].span };
  });
}

/**
 * @param {string} text
 * @param {"NFD" | "NFKD"} form
 */
function normalForm(text, form) {
  return text
    .split(NEW_COMPOSED)
    .map((part, number) => (number % 2 === 1 ? part : normalFormOfKnown(part, form)))
    .join("");
}

/**
 * @param {string} text
 * @param {"NFD" | "NFKD"} form
 */
function normalFormOfKnown(text, form) {
  const parts = form === "NFKD" ? text.split(NEW_COMPATIBLE) : [text];
  return parts.map((part, number) => (number % 2 === 1 ? part : part.normalize(form))).join("");
}
