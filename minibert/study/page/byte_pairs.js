// Byte-level BPE, the tokenizer of RoBERTa and GPT-2, as minibert/text/byte_pair_encoding.py: from characters to bytes to pieces.

/**
 * `merges`: pairs of pieces with a space between them, in the order of the training. `trims`: the spans of pieces have no white
 * space at their ends; "inside" leaves it at the start of the text, where `add_prefix_space` has put a space.
 * @typedef {TokenizerData & {merges: string[], add_prefix_space: boolean, trims: "all" | "inside" | null}} BytePairData
 */

/** GPT-2's pattern for a text in which `standIn` has replaced each character. */
const WORDS = /'s|'t|'re|'ve|'m|'ll|'d| ?[A-Za-z]+| ?[0-9]+| ?[^\sA-Za-z0-9]+|\s+(?!\S)|\s+/g;
const SPACES_BEFORE = /^[\u0120\p{White_Space}]*/u;
const SPACES_AFTER = /[\u0120\p{White_Space}]*$/u;

/** Characters that have become letters and numbers since the tables of the library. */
const NEW_LETTER = charactersOf(`
  88f c5c cdc a7ce-a7cf a7d2 a7d4 a7f1 10940-10959 10ec5-10ec7 11db0-11ddb 16ea0-16eb8 16ebb-16ed3 16ff2-16ff3 187f8-187ff
  18d09-18d1e 18d80-18df2 1e6c0-1e6de 1e6e0-1e6e2 1e6e4-1e6e5 1e6e7-1e6ed 1e6f0-1e6f4 1e6fe-1e6ff 2b73a-2b73f 2cea2-2cead
  323b0-33479`);
const NEW_NUMBER = charactersOf("11de0-11de9 16ff4-16ff6");

/** A tokenizer of byte pairs. */
class BytePairs extends TextTokenizer {
  /** @param {BytePairData} data */
  constructor(data) {
    super(data);
    this.settings = data;
    this.ranks = new Map(data.merges.map((pair, rank) => [pair, rank]));
  }

  /**
   * @param {Letter[]} letters
   * @returns {Piece[]}
   */
  pieces(letters) {
    const hasPrefix = this.settings.add_prefix_space && letters[0].character !== " ";
    const words = cutWords(hasPrefix ? [{ ...letters[0], character: " " }, ...letters] : letters);
    return words.flatMap((word) => {
      const bytes = word.flatMap(byteLetters);
      let end = 0;
      return apply_merges(textOf(bytes), this.ranks).map((piece) => {
        end += piece.length;
        return this.piece(piece, bytes.slice(end - piece.length, end));
      });
    });
  }

  /**
   * Return a piece without the places of the white space at its ends.
   * @param {Piece} piece
   * @param {number} start
   * @returns {Piece}
   */
  trimmed({ piece, id, span: [first, last] }, start) {
    const { trims } = this.settings;
    if (trims === null) {
      return { piece, id, span: [first, last] };
    }
    const [before, after] = [SPACES_BEFORE, SPACES_AFTER].map((spaces) => spaces.exec(piece)?.[0].length ?? 0);
    const isKept = trims === "inside" && first === start && before === 1;
    const trimmedFirst = Math.min(first + (isKept ? 0 : before), last);
    return { piece, id, span: [trimmedFirst, Math.max(last - (last - start < after ? 0 : after), trimmedFirst)] };
  }
}

/**
 * Cut a text into words by GPT-2's pattern. Nothing is lost.
 * @param {Letter[]} letters
 */
function cutWords(letters) {
  const standIns = letters.map(({ character }) => standIn(character)).join("");
  return [...standIns.matchAll(WORDS)].map(({ 0: word, index }) => letters.slice(index, index + word.length));
}

/**
 * Return an ASCII character of the same class: letter, number, white space or other.
 * @param {string} character
 */
function standIn(character) {
  if (character <= "\x7f") {
    return character;
  }
  if (SPACE.test(character)) {
    return "\t";
  }
  if (/\p{L}/u.test(character) && !NEW_LETTER.test(character)) {
    return "a";
  }
  return /\p{N}/u.test(character) && !NEW_NUMBER.test(character) ? "0" : "!";
}

/** The letter of each byte, so that pieces can be printed: a space is Ġ. */
const BYTE_LETTERS = (() => {
  let others = 0;
  return Array.from({ length: 256 }, (_, byte) => {
    const isPrintable = (byte > 32 && byte < 127) || (byte > 160 && byte !== 173);
    return String.fromCharCode(isPrintable ? byte : 256 + others++);
  });
})();

/**
 * Return the letters of the bytes of a character. All of them have its place.
 * @param {Letter} letter
 * @returns {Letter[]}
 */
function byteLetters({ character, span }) {
  return [...new TextEncoder().encode(character)].map((byte) => ({ character: BYTE_LETTERS[byte], span }));
}

/**
 * Split a word into pieces: apply all merges that fit, those of lower rank first.
 * @param {string} letters
 * @param {Map<string, number>} ranks - Of the pairs, with a space between their pieces.
 */
function apply_merges(letters, ranks) {
  let pieces = [...letters];
  for (;;) {
    const pairs = pieces.slice(1).map((second, place) => `${pieces[place]} ${second}`);
    const known = pairs.filter((pair) => ranks.has(pair));
    if (known.length === 0) {
      return pieces;
    }
    /** @param {string} pair */
    const rank = (pair) => /** @type {number} */ (ranks.get(pair));
    const best = known.reduce((one, other) => (rank(other) < rank(one) ? other : one));
    pieces = mergePair(pieces, best);
  }
}

/**
 * Make one piece of each pair, from left to right.
 * @param {string[]} pieces
 * @param {string} pair
 */
function mergePair(pieces, pair) {
  /** @type {string[]} */
  const merged = [];
  for (let place = 0; place < pieces.length; place++) {
    const isPair = `${pieces[place]} ${pieces[place + 1]}` === pair;
    merged.push(isPair ? pieces[place] + pieces[++place] : pieces[place]);
  }
  return merged;
}
