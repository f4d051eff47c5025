// A text as the input of a network: tokens with their characters, and special tokens around them.

/**
 * What Python wrote of tokenizer.json; see tokenizer_data.py.
 * @typedef {object} TokenizerData
 * @property {"WordPiece" | "BPE" | "Unigram"} type
 * @property {(string | null)[]} pieces - By their ids.
 * @property {AddedToken[]} added - Tokens that are found in a text as they are, such as [MASK].
 * @property {number[]} first - The ids before a text.
 * @property {number[]} between - The ids between two texts.
 * @property {number[]} last - The ids at the end.
 * @property {number} secondSegment - The segment of sentence B.
 * @property {number | null} pad - The id of [PAD].
 *
 * An added token. It includes the white space before it with `lstrip`, and that behind it with `rstrip`.
 * @typedef {{content: string, lstrip: boolean, rstrip: boolean}} AddedToken
 *
 * A piece of a text, with the range of its characters.
 * @typedef {{piece: string, id: number, span: [number, number]}} Piece
 *
 * A token; `segment` is that of its sentence. A special token that is not in the text has an empty span.
 * @typedef {Piece & {segment: number}} Token
 */

/** What all tokenizers have in common. A subclass has the method `pieces`. */
class TextTokenizer {
  /** @param {TokenizerData} data */
  constructor(data) {
    this.data = data;
    this.ids = new Map(data.pieces.map((piece, id) => [piece, id]));
    this.added = new Map(data.added.map((token) => [token.content, token]));
    const longestFirst = [...this.added.keys()].sort((a, b) => b.length - a.length);
    const patterns = longestFirst.map(literalPattern);
    this.addedPattern = patterns.length > 0 ? new RegExp(patterns.join("|"), "gu") : /(?!)/g; // without tokens, nothing is found
  }

  /**
   * Tokenize a text or a pair of texts.
   * @param {string} text
   * @param {string | null} pair
   * @param {number} padding - Number of tokens [PAD] at the end.
   * @returns {Token[]}
   */
  encode(text, pair = null, padding = 0) {
    const { first, between, last, secondSegment, pad } = this.data;
    const letters = lettersOf(text, 0);
    const tokens = [...this.special(first, 0), ...this.tokens(letters, 0)];
    if (pair !== null) {
      tokens.push(...this.special(between, 0), ...this.tokens(lettersOf(pair, letters.length), secondSegment));
    }
    tokens.push(...this.special(last, pair === null ? 0 : secondSegment));
    return [...tokens, ...this.special(new Array(padding).fill(pad ?? 0), 0)];
  }

  /**
   * Return tokens that are not in the text.
   * @param {number[]} ids
   * @param {number} segment
   * @returns {Token[]}
   */
  special(ids, segment) {
    return ids.map((id) => ({ piece: this.data.pieces[id] ?? "", id, segment, span: [0, 0] }));
  }

  /**
   * Return the tokens of a text.
   * @param {Letter[]} letters
   * @param {number} segment
   * @returns {Token[]}
   */
  tokens(letters, segment) {
    const start = letters[0]?.span[0] ?? 0;
    const pieces = this.parts(letters).flatMap(({ added, letters: part }) =>
      added === null ? this.pieces(part) : [this.piece(textOf(part), part, added)],
    );
    return pieces.map((piece) => ({ ...this.trimmed(piece, start), segment }));
  }

  /**
   * Return a piece without the places of white space at its ends, if the tokenizer removes them.
   * @param {Piece} piece
   * @param {number} _start - The place of the text.
   * @returns {Piece}
   */
  trimmed(piece, _start) {
    return piece;
  }

  /**
   * Split a text into added tokens and the text between them.
   * @param {Letter[]} letters
   * @returns {{added: string | null, letters: Letter[]}[]}
   */
  parts(letters) {
    /** @type {{added: string | null, letters: Letter[]}[]} */
    const parts = [];
    const text = textOf(letters);
    let end = 0;
    for (const { 0: content, index } of text.matchAll(this.addedPattern)) {
      let start = [...text.slice(0, index)].length;
      let stop = start + [...content].length;
      while (this.added.get(content)?.lstrip && start > end && SPACE.test(letters[start - 1].character)) {
        start--;
      }
      while (this.added.get(content)?.rstrip && stop < letters.length && SPACE.test(letters[stop].character)) {
        stop++;
      }
      parts.push({ added: null, letters: letters.slice(end, start) }, { added: content, letters: letters.slice(start, stop) });
      end = stop;
    }
    parts.push({ added: null, letters: letters.slice(end) });
    return parts.filter((part) => part.letters.length > 0);
  }

  /**
   * Split a text without added tokens into pieces of the vocabulary.
   * @param {Letter[]} letters
   * @returns {Piece[]}
   */
  pieces(letters) {
    throw new Error(`${this.constructor.name} has no rule for ${textOf(letters)}.`);
  }

  /**
   * Return a piece with the places of its letters.
   * @param {string} piece
   * @param {Letter[]} letters
   * @param {string} token - The piece of the vocabulary. That of an added token is without the white space next to it.
   * @returns {Piece}
   */
  piece(piece, letters, token = piece) {
    return { piece, id: this.ids.get(token) ?? 0, span: [letters[0].span[0], letters[letters.length - 1].span[1]] };
  }
}

/**
 * Return the tokenizer that Python wrote.
 * @param {TokenizerData} data
 * @returns {TextTokenizer}
 */
function tokenizerOf(data) {
  return new { WordPiece, BPE: BytePairs, Unigram }[data.type](/** @type {any} */ (data));
}
