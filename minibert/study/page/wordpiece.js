// The tokenizer of BERT: from characters to words to pieces of the vocabulary.

/**
 * @typedef {{clean_text: boolean, handle_chinese_chars: boolean, strip_accents: boolean | null, lowercase: boolean}} BertNormalizer
 * @typedef {TokenizerData & {normalizer: BertNormalizer,
 *   model: {unk_token: string, continuing_subword_prefix: string, max_input_chars_per_word: number}}} WordPieceData
 */

const CHINESE = charactersOf("3400-4dbf 4e00-9fff f900-faff 20000-2a6df 2a700-2b81f 2b920-2ceaf 2f800-2fa1f");
const CONTROL = /[\0\ufffd\p{Cc}\p{Cf}\p{Co}\p{Cs}]/u;
const MARK = /[\p{Mn}\u{1734}\u{1171e}]/u;
const PUNCTUATION = /[\p{P}!-/:-@[-`{-~\u{166d}\u{111c9}]/u;
/** Characters that have become controls since Unicode 8. */
const NEW_CONTROL = charactersOf("890-891 8e2 110cd 13430-1343f");
/** Characters that have become punctuation since Unicode 8. */
const NEW_PUNCTUATION = charactersOf(`
  61d 9fd a76 c77 c84 1b4e-1b4f 1b7d-1b7f 2e43-2e4f 2e52-2e5d 10d6e 10ead 10ed0 10f55-10f59 10f86-10f89 113d4-113d5
  113d7-113d8 1144b-1144f 1145a-1145b 1145d 11660-1166c 116b9 1183b 11944-11946 119e2 11a3f-11a46 11a9a-11a9c 11a9e-11aa2
  11b00-11b09 11be1 11c41-11c45 11c70-11c71 11ef7-11ef8 11f43-11f4f 11fff 12ff1-12ff2 16d6d-16d6f 16e97-16e9a 16fe2 1e5ff
  1e95e-1e95f`);
/** Characters that have become accents (nonspacing marks) since Unicode 8. */
const NEW_MARK = charactersOf(`
  7fd 897-89f 8ca-8e1 9fe afa-aff b55 c04 c3c d00 d3b-d3c d81 eba ece 180f 1885-1886 1abf-1add 1ae0-1aeb 1df6-1dfb a82c a8c5
  a8ff a9bd 10d24-10d27 10d69-10d6d 10eab-10eac 10efa-10eff 10f46-10f50 10f82-10f85 11070 11073-11074 110c2 111c9 111cf
  1123e 11241 1133b 113bb-113c0 113ce 113d0 113d2 113e1-113e2 11438-1143f 11442-11444 11446 1145e 1182f-11837 11839-1183a
  1193b-1193c 1193e 11943 119d4-119d7 119da-119db 119e0 11a01-11a0a 11a33-11a38 11a3b-11a3e 11a47 11a51-11a56 11a59-11a5b
  11a8a-11a96 11a98-11a99 11b60 11b62-11b64 11b66 11c30-11c36 11c38-11c3d 11c3f 11c92-11ca7 11caa-11cb0 11cb2-11cb3
  11cb5-11cb6 11d31-11d36 11d3a 11d3c-11d3d 11d3f-11d45 11d47 11d90-11d91 11d95 11d97 11ef3-11ef4 11f00-11f01 11f36-11f3a
  11f40 11f42 11f5a 13440 13447-13455 1611e-16129 1612d-1612f 16f4f 16fe4 1cf00-1cf2d 1cf30-1cf46 1e000-1e006 1e008-1e018
  1e01b-1e021 1e023-1e024 1e026-1e02a 1e08f 1e130-1e136 1e2ae 1e2ec-1e2ef 1e4ec-1e4ef 1e5ee-1e5ef 1e6e3 1e6e6 1e6ee-1e6ef
  1e6f5 1e944-1e94a`);

/** A tokenizer with BERT's normalization, pre-tokenization and WordPiece model. */
class WordPiece extends TextTokenizer {
  /** @param {WordPieceData} data */
  constructor(data) {
    super(data);
    this.settings = data;
  }

  /**
   * @param {Letter[]} letters
   * @returns {Piece[]}
   */
  pieces(letters) {
    return words(this.normalize(letters)).flatMap((word) => this.piecesOf(word));
  }

  /**
   * Normalize letters as `tokenizers.normalizers.BertNormalizer` does.
   * @param {Letter[]} letters
   */
  normalize(letters) {
    const { clean_text, handle_chinese_chars, strip_accents, lowercase } = this.settings.normalizer;
    let result = letters;
    if (clean_text) {
      result = result.filter(({ character }) => !isControl(character));
      result = result.map((letter) => (SPACE.test(letter.character) ? { ...letter, character: " " } : letter));
    }
    if (handle_chinese_chars) {
      result = replaced(result, (character) => (CHINESE.test(character) ? [" ", character, " "] : [character]));
    }
    if (strip_accents ?? lowercase) {
      result = decomposed(result, "NFD").filter(({ character }) => !MARK.test(character) || NEW_MARK.test(character));
    }
    return lowercase ? replaced(result, (character) => [...character.toLowerCase()]) : result;
  }

  /**
   * Split a word into pieces of the vocabulary.
   * @param {Letter[]} word
   */
  piecesOf(word) {
    const { unk_token, continuing_subword_prefix, max_input_chars_per_word } = this.settings.model;
    const pieces = split_word(textOf(word), this.ids, unk_token, continuing_subword_prefix, max_input_chars_per_word);
    if (pieces.length === 1) {
      return [this.piece(pieces[0], word)];
    }
    let end = 0;
    return pieces.map((piece) => {
      const start = end;
      end += [...piece].length - (start > 0 ? [...continuing_subword_prefix].length : 0);
      return this.piece(piece, word.slice(start, end));
    });
  }
}

/** @param {string} character */
function isControl(character) {
  return CONTROL.test(character) && !"\t\n\r".includes(character) && !NEW_CONTROL.test(character);
}

/** @param {string} character */
function isPunctuation(character) {
  return PUNCTUATION.test(character) && !NEW_PUNCTUATION.test(character);
}

/**
 * Split letters into words: at white space, and before and after each punctuation character.
 * @param {Letter[]} letters
 */
function words(letters) {
  /** @type {Letter[][]} */
  const found = [];
  let isInside = false;
  for (const letter of letters) {
    const isAlone = isPunctuation(letter.character);
    const isSpace = SPACE.test(letter.character);
    if (!isSpace && (isAlone || !isInside)) {
      found.push([letter]);
    } else if (!isSpace) {
      found[found.length - 1].push(letter);
    }
    isInside = !isSpace && !isAlone;
  }
  return found;
}
