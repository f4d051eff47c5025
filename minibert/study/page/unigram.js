// SentencePiece's unigram model, the tokenizer of ALBERT: the most probable pieces of each word (Kudo 2018).

/**
 * `scores`: the logarithm of each piece's probability, by ids; of an added token that is no piece, null. `normalizers`: the steps
 * of the normalizer, in order. `metaspace`: the sign for a space, and whether each word begins with one.
 * @typedef {TokenizerData & {scores: (number | null)[], unknown: number, normalizers: Normalizer[], splits_at_space: boolean,
 *   metaspace: {replacement: string, prepend_scheme: "always" | "never"}}} UnigramData
 *
 * @typedef {{type: "Replace", from: string, to: string} | {type: "Precompiled", table: string}
 *   | {type: "NFKD" | "NFD" | "StripAccents" | "Lowercase"}} Normalizer
 */

/** An unknown character has the lowest score of all pieces, minus this. */
const UNKNOWN_PENALTY = 10;

/** Characters that are accents in a browser, but not in the library, and two that are accents in the library only. */
const NEW_ACCENT = charactersOf(`
  7fd 897-89f 8ca-8d3 9fe afa-aff b55 c04 c3c cf3 d00 d3b-d3c d81 eba ece 1715 180f 1abf-1add 1ae0-1aeb 1cf7 1df6-1dfa a82c
  a8ff 10d24-10d27 10d69-10d6d 10eab-10eac 10efa-10eff 10f46-10f50 10f82-10f85 11070 11073-11074 110c2 11145-11146 111c9
  111ce-111cf 11241 1133b 113b8-113c0 113c2 113c5 113c7-113ca 113cc-113d0 113d2 113e1-113e2 1145e 1182c-1183a 11930-11935
  11937-11938 1193b-1193e 11940 11942-11943 119d1-119d7 119da-119e0 119e4 11a01-11a0a 11a33-11a39 11a3b-11a3e 11a47
  11a51-11a5b 11a8a-11a99 11b60-11b67 11d31-11d36 11d3a 11d3c-11d3d 11d3f-11d45 11d47 11d8a-11d8e 11d90-11d91 11d93-11d97
  11ef3-11ef6 11f00-11f01 11f03 11f34-11f3a 11f3e-11f42 11f5a 13440 13447-13455 1611e-1612f 16f4f 16f7f-16f87 16fe4
  16ff0-16ff1 1cf00-1cf2d 1cf30-1cf46 1e08f 1e130-1e136 1e2ae 1e2ec-1e2ef 1e4ec-1e4ef 1e5ee-1e5ef 1e6e3 1e6e6 1e6ee-1e6ef
  1e6f5`);
const OLD_ACCENT = /[\u1cf2\u1cf3]/;

/** A tokenizer with the unigram model. */
class Unigram extends TextTokenizer {
  /** @param {UnigramData} data */
  constructor(data) {
    super(data);
    this.settings = data;
    this.normalizers = data.normalizers.map(normalizerOf);
    /** @type {Map<string, number>} */
    this.scores = new Map();
    data.scores.forEach((score, id) => {
      if (score !== null) {
        this.scores.set(data.pieces[id] ?? "", score);
      }
    });
    this.longest = Math.max(...[...this.scores.keys()].map((piece) => [...piece].length));
    this.unknownScore = Math.min(...this.scores.values()) - UNKNOWN_PENALTY;
  }

  /**
   * @param {Letter[]} letters
   * @returns {Piece[]}
   */
  pieces(letters) {
    const normalized = this.normalizers.reduce((result, normalize) => normalize(result), letters);
    return this.words(normalized).flatMap((word) => {
      let end = 0;
      return this.best(word.map(({ character }) => character)).map((piece) => {
        const start = end;
        end += [...piece].length;
        const { span } = this.piece(piece, word.slice(start, end));
        return { piece, id: this.scores.has(piece) ? (this.ids.get(piece) ?? 0) : this.settings.unknown, span };
      });
    });
  }

  /**
   * Split normalized letters into words. Each begins with the sign for a space.
   * @param {Letter[]} letters
   */
  words(letters) {
    const { splits_at_space, metaspace } = this.settings;
    const parts = splits_at_space ? splitBefore(letters, SPACE).map((part) => part.filter(isNoSpace)) : [letters];
    return parts
      .filter((part) => part.length > 0)
      .flatMap((part) => {
        const marked = part.map(({ character, span }) => ({
          character: character === " " ? metaspace.replacement : character,
          span,
        }));
        if (metaspace.prepend_scheme === "always" && marked[0].character !== metaspace.replacement) {
          marked.unshift({ ...marked[0], character: metaspace.replacement });
        }
        return splitBefore(marked, new RegExp(literalPattern(metaspace.replacement), "u"));
      });
  }

  /**
   * Return the pieces of a word whose scores have the largest sum (Viterbi). Unknown characters next to each other are one piece.
   * @param {string[]} characters
   * @returns {string[]}
   */
  best(characters) {
    /** The best way to each place: its sum, and where its last piece begins. */
    const ways = [{ sum: 0, start: 0, isUnknown: false }];
    for (let start = 0; start < characters.length; start++) {
      /** @type {(end: number, score: number, isUnknown: boolean) => void} */
      const offer = (end, score, isUnknown) => {
        const sum = ways[start].sum + score;
        if (ways[end] === undefined || sum > ways[end].sum) {
          ways[end] = { sum, start, isUnknown };
        }
      };
      for (let end = start + 1; end <= Math.min(start + this.longest, characters.length); end++) {
        const score = this.scores.get(characters.slice(start, end).join(""));
        if (score !== undefined) {
          offer(end, score, false);
        } else if (end === start + 1) {
          offer(end, this.unknownScore, true);
        }
      }
    }
    /** @type {string[]} */
    const pieces = [];
    let wasUnknown = false;
    for (let end = characters.length; end > 0; end = ways[end].start) {
      const { start, isUnknown } = ways[end];
      const piece = characters.slice(start, end).join("");
      pieces.unshift(isUnknown && wasUnknown ? piece + pieces.shift() : piece);
      wasUnknown = isUnknown;
    }
    return pieces;
  }
}

/** @param {string} character */
function isAccent(character) {
  return (/\p{M}/u.test(character) && !NEW_ACCENT.test(character)) || OLD_ACCENT.test(character);
}

/** @param {Letter} letter */
function isNoSpace({ character }) {
  return !SPACE.test(character);
}

/**
 * Split letters before each one of a kind.
 * @param {Letter[]} letters
 * @param {RegExp} kind
 */
function splitBefore(letters, kind) {
  /** @type {Letter[][]} */
  const parts = [];
  for (const letter of letters) {
    if (parts.length === 0 || kind.test(letter.character)) {
      parts.push([]);
    }
    parts[parts.length - 1].push(letter);
  }
  return parts;
}

/**
 * Return the function of one step of a normalizer.
 * @param {Normalizer} step
 * @returns {(letters: Letter[]) => Letter[]}
 */
function normalizerOf(step) {
  switch (step.type) {
    case "Replace":
      return (letters) => withReplacement(letters, [...step.from], [...step.to]);
    case "Precompiled": {
      const table = new CharacterTable(step.table);
      return (letters) => table.normalize(letters);
    }
    case "NFKD":
    case "NFD": {
      const form = step.type;
      return (letters) => decomposed(letters, form);
    }
    case "StripAccents":
      return (letters) => letters.filter(({ character }) => !isAccent(character));
    case "Lowercase":
      return (letters) => replaced(letters, (character) => [...character.toLowerCase()]);
  }
}

/**
 * Replace a text by another one, which gets the place of the last character.
 * @param {Letter[]} letters
 * @param {string[]} from
 * @param {string[]} to
 */
function withReplacement(letters, from, to) {
  /** @type {Letter[]} */
  const result = [];
  for (let place = 0; place < letters.length; place++) {
    if (from.every((character, number) => letters[place + number]?.character === character)) {
      place += from.length - 1;
      result.push(...to.map((character) => ({ character, span: letters[place].span })));
    } else {
      result.push(letters[place]);
    }
  }
  return result;
}
