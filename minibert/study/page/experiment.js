// An experiment: a text, and what a reader changes in the network. It is kept in the hash of the address of a live page.

/**
 * `off`: "scale", "positions", the attention "mask", the residual connections "attention_residual" and "feed_forward_residual",
 * a layer such as "1", or a head such as "1.3": head 3 of layer 1. `padding`: number of tokens. `attention` and `temperature`:
 * the temperatures of attention and of the predictions. `cells`: numbers by their place, such as
 * "layers.0.attention.weights:0,1,2,3".
 * @typedef {object} Experiment
 * @property {string} text
 * @property {string | null} pair
 * @property {number} padding
 * @property {string[]} off
 * @property {number} attention
 * @property {number} temperature
 * @property {Record<string, number>} cells
 */

const MAX_TEXT = 10000;
const MAX_PADDING = 8;
const MAX_CELLS = 100;
const MAX_NUMBER = 1e6;
const TEMPERATURES = [1 / 8, 8];

/** @type {Record<string, string>} Parts of every network that can be off, and how the page calls them. */
const PARTS = {
  scale: "Scale 1/√d_k",
  mask: "Attention mask",
  positions: "Positions",
  attention_residual: "Attention residual",
  feed_forward_residual: "Feed-forward residual",
};

/**
 * The nearest experiment that is possible with a network: what it does not have is left out.
 */
class Experiments {
  /**
   * @param {Experiment} opened - What the page was opened with.
   * @param {number[]} heads - Of each layer.
   * @param {Iterable<string>} paths - Of all tensors.
   * @param {boolean} hasPair - The network can have a sentence B.
   * @param {boolean} hasPadding - There can be padding behind the text.
   * @param {boolean} isCausal - The mask hides later tokens, not only padding.
   */
  constructor(opened, heads, paths, hasPair, hasPadding, isCausal) {
    this.isCausal = isCausal;
    this.opened = opened;
    this.hasPair = hasPair;
    this.hasPadding = hasPadding;
    this.paths = new Set(paths);
    const layers = heads.flatMap((count, layer) => [
      `${layer}`,
      ...Array.from({ length: count }, (_, head) => `${layer}.${head}`),
    ]);
    this.parts = new Set([...Object.keys(PARTS), ...layers]);
  }

  /**
   * Read an experiment from the hash of an address.
   * @param {string} hash
   * @returns {Experiment}
   */
  parse(hash) {
    const fields = new URLSearchParams(hash.replace(/^#/, ""));
    const text = fields.get("text");
    return this.possible({
      text: text ?? this.opened.text,
      pair: text === null ? this.opened.pair : fields.get("pair"),
      padding: Number(fields.get("padding") ?? 0),
      off: (fields.get("off") ?? "").split(","),
      attention: Number(fields.get("attention") ?? 1),
      temperature: Number(fields.get("temperature") ?? 1),
      cells: Object.fromEntries((fields.get("cells") ?? "").split(";").map(cellOf)),
    });
  }

  /**
   * @param {Experiment} experiment
   * @returns {Experiment}
   */
  possible({ text, pair, padding, off, attention, temperature, cells }) {
    const count = this.hasPadding ? Math.trunc(nearest(padding || 0, [0, MAX_PADDING])) : 0;
    const known = Object.entries(cells).filter(([place, number]) => this.isCell(place) && Number.isFinite(number));
    return {
      text: text.slice(0, MAX_TEXT),
      pair: this.hasPair && pair ? pair.slice(0, MAX_TEXT) : null,
      padding: count,
      off: [...this.parts].filter((part) => off.includes(part) && (part !== "mask" || this.hasMask(count))),
      attention: nearest(attention, TEMPERATURES),
      temperature: nearest(temperature, TEMPERATURES),
      cells: Object.fromEntries(
        known.slice(0, MAX_CELLS).map(([place, number]) => [place, nearest(number, [-MAX_NUMBER, MAX_NUMBER])]),
      ),
    };
  }

  /**
   * Return whether the attention mask hides a token.
   * @param {number} padding
   */
  hasMask(padding) {
    return this.isCausal || padding > 0;
  }

  /** @param {string} place */
  isCell(place) {
    const [path, cell] = place.split(":");
    return this.paths.has(path) && /^\d{1,9}(,\d{1,9})*$/.test(cell);
  }

  /**
   * Write an experiment as fields of the hash of an address. What is as the page was opened is left out.
   * @param {Experiment} experiment
   */
  format({ text, pair, padding, off, attention, temperature, cells }) {
    const fields = new URLSearchParams();
    if (text !== this.opened.text || pair !== this.opened.pair) {
      fields.set("text", text);
      if (pair !== null) {
        fields.set("pair", pair);
      }
    }
    const places = Object.entries(cells).map(([place, number]) => `${place}:${number}`);
    const changed = {
      padding: padding === 0 ? "" : String(padding),
      off: off.join(","),
      attention: attention === 1 ? "" : String(attention),
      temperature: temperature === 1 ? "" : String(temperature),
      cells: places.join(";"),
    };
    for (const [name, value] of Object.entries(changed).filter(([, value]) => value !== "")) {
      fields.set(name, value);
    }
    const written = fields.toString().replaceAll("%2C", ",").replaceAll("%3A", ":").replaceAll("%3B", ";");
    return written && `&${written}`;
  }
}

/**
 * Return a cell and its number, of a text such as "embeddings.sum:0,1,2:0.5".
 * @param {string} text
 * @returns {[string, number]}
 */
function cellOf(text) {
  const end = text.lastIndexOf(":");
  return [text.slice(0, end), end < 0 ? Number.NaN : Number.parseFloat(text.slice(end + 1))];
}

/**
 * @param {number} number - 1 is taken for what is not a number.
 * @param {number[]} range
 */
function nearest(number, [low, high]) {
  return Number.isNaN(number) ? 1 : Math.min(Math.max(number, low), high);
}

/**
 * Return what the forward pass changes.
 * @param {Experiment} experiment
 * @returns {Changes}
 */
function changesOf({ off, attention, temperature, cells }) {
  /** @type {Record<string, Record<string, number>>} */
  const byPath = {};
  for (const [place, number] of Object.entries(cells)) {
    const [path, cell] = place.split(":");
    byPath[path] = { ...byPath[path], [cell]: number };
  }
  const heads = off.filter((part) => part.includes(".")).map((part) => part.split(".").map(Number));
  return {
    headsOff: heads.map(([layer, head]) => [layer, head]),
    layersOff: off.filter((part) => /^\d+$/.test(part)).map(Number),
    residualsOff: [
      ...(off.includes("attention_residual") ? [/** @type {const} */ ("attention")] : []),
      ...(off.includes("feed_forward_residual") ? [/** @type {const} */ ("feed_forward")] : []),
    ],
    noScale: off.includes("scale"),
    noMask: off.includes("mask"),
    noPositions: off.includes("positions"),
    attentionTemperature: attention,
    temperature,
    cells: byPath,
  };
}

/**
 * Return each change of an experiment in words, and the experiment without it.
 * @param {Experiment} experiment
 * @param {(path: string, cell: number[]) => string} nameOf - The name of a cell.
 * @returns {{text: string, without: Experiment}[]}
 */
function changesInWords(experiment, nameOf) {
  const { padding, off, attention, temperature, cells } = experiment;
  const list = off.map((part) => ({
    text: `${partName(part)} off`,
    without: { ...experiment, off: off.filter((other) => other !== part) },
  }));
  if (padding > 0) {
    list.unshift({ text: `Padding ${padding}`, without: { ...experiment, padding: 0 } });
  }
  if (attention !== 1) {
    list.push({ text: `Temperature of attention ${short(attention)}`, without: { ...experiment, attention: 1 } });
  }
  if (temperature !== 1) {
    list.push({ text: `Temperature of the predictions ${short(temperature)}`, without: { ...experiment, temperature: 1 } });
  }
  for (const [place, number] of Object.entries(cells)) {
    const [path, cell] = place.split(":");
    const { [place]: _, ...others } = cells;
    const name = nameOf(path, cell.split(",").map(Number));
    list.push({ text: `${name}: ${short(number)}`, without: { ...experiment, cells: others } });
  }
  return list;
}

/** @param {string} part */
function partName(part) {
  const [layer, head] = part.split(".");
  return PARTS[part] ?? (head === undefined ? `Layer ${layer}` : `Head ${head} of layer ${layer}`);
}
