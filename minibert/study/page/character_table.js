// SentencePiece's table of characters, "Precompiled" in tokenizer.json: texts of one character or a few, and their replacements.

/** The texts are in a trie: a double array, as in the library Darts-clone. Each unit has a byte, and leads to the next units. */
class CharacterTable {
  /** @param {string} base64 - The size of the trie in bytes, the trie, and the replacements with a zero behind each. */
  constructor(base64) {
    const bytes = bytesOf(base64);
    const size = new DataView(bytes.buffer).getUint32(0, true);
    this.units = new Uint32Array(bytes.slice(4, 4 + size).buffer);
    this.replacements = bytes.subarray(4 + size);
  }

  /**
   * Return the replacement of the shortest text in the trie that a text begins with, or null.
   * @param {string} text
   */
  replacement(text) {
    let place = offsetOf(this.units[0]);
    for (const byte of new TextEncoder().encode(text)) {
      place = (place ^ byte) >>> 0;
      const unit = this.units[place] ?? 0;
      if (byte === 0 || (unit & 0x800000ff) >>> 0 !== byte) {
        return null;
      }
      place = (place ^ offsetOf(unit)) >>> 0;
      if ((unit & 0x100) !== 0) {
        const start = this.units[place] & 0x7fffffff;
        return new TextDecoder().decode(this.replacements.subarray(start, this.replacements.indexOf(0, start)));
      }
    }
    return null;
  }

  /**
   * Replace what the trie has: short graphemes as a whole, and other ones character by character.
   * @param {Letter[]} letters
   */
  normalize(letters) {
    /** The new characters. A positive change is a character more, a negative one counts those that are left out behind it. */
    const changed = /** @type {{character: string, change: number}[]} */ ([]);
    for (const { segment } of new Intl.Segmenter("und").segment(textOf(letters))) {
      const isShort = new TextEncoder().encode(segment).length < 6;
      const whole = isShort ? this.replacement(segment) : null;
      for (const part of whole === null ? [...segment] : [segment]) {
        const characters = [...(whole ?? this.replacement(part) ?? part)];
        const added = characters.length - [...part].length;
        changed.push(...characters.map((character) => ({ character, change: 0 })));
        for (let number = 1; number <= added; number++) {
          changed[changed.length - number].change = 1;
        }
        if (added < 0 && changed.length > 0) {
          changed[changed.length - 1].change += added;
        }
      }
    }
    let place = 0;
    return changed.map(({ character, change }) => {
      const { span } = letters[change > 0 ? Math.max(0, place - 1) : place];
      place += change > 0 ? 0 : 1 - change;
      return { character, span };
    });
  }
}

/**
 * Return the distance of a unit to the next ones.
 * @param {number} unit
 */
function offsetOf(unit) {
  return ((unit >>> 10) << ((unit & 0x200) >>> 6)) >>> 0;
}
