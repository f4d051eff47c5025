// The steps of any text, made from those that Python wrote for all texts; see templates.py.

/**
 * What Python wrote of the steps: in place of a whole number there can be {"polynomial": the factors of 1, n, n², p and n p},
 * where n is the number of tokens and p that of predictions, and in place of a text {"joined": parts}.
 * @typedef {object} Templates
 * @property {any[]} steps
 * @property {any[]} constants - Inputs of expressions. `values` is "masked", "positions", "segments", one
 * number for all, or a list.
 * @property {Record<string, string[]>} labels
 * @property {MathTree[]} formulas
 * @property {string[]} overview
 * @property {Record<string, string | null>} letters - Of all parameters.
 * @property {Record<string, string[]>} aliases - Other paths of the tensor of a step, which later steps use.
 * @property {string} noPair - A sentence about a prediction of the next sentence without a sentence B.
 *
 * One forward pass.
 * @typedef {object} LiveRun
 * @property {string[]} characters
 * @property {Token[]} tokens
 * @property {number} length - Number of tokens before the padding.
 * @property {Changes} changes
 * @property {FloatTensor} keep - The tokens that may be attended to; see the networks.
 * @property {Map<string, FloatTensor>} tensors
 *
 * @typedef {Omit<PageData, "title" | "text" | "start" | "facts">} LiveData
 */

/** Computes the forward pass of a text, and the data of its page. */
class LiveWalk {
  /**
   * @param {Templates} templates
   * @param {Bert | Gpt2} network
   * @param {TextTokenizer} tokenizer
   */
  constructor(templates, network, tokenizer) {
    this.templates = templates;
    /** The same where the mask hides padding: it is not false everywhere. @type {Templates} */
    this.maskedTemplates = JSON.parse(JSON.stringify(templates).replaceAll(", false in every cell", ""));
    this.network = network;
    this.tokenizer = tokenizer;
    this.parameters = Object.fromEntries(
      Object.keys(templates.letters).map((name) => [name, recordOf(network.parameter(name))]), // the numbers are not copied
    );
    const axes = templates.steps.flatMap((step) => /** @type {Axis[]} */ (step.axes));
    const words = axes.find(({ labels }) => labels === "vocabulary")?.size ?? 0;
    const { pieces } = tokenizer.data;
    this.vocabulary = Array.from({ length: words }, (_, id) => printable(pieces[id] || `(id ${id}, no piece)`));
  }

  /**
   * Compute the forward pass of a text or a pair of texts, with the changes of a reader.
   * @param {string} text
   * @param {string | null} pair
   * @param {Changes} changes
   * @param {number} padding - Number of tokens behind the text.
   * @returns {LiveRun}
   * @throws {RangeError} If the text has more tokens than the network has positions.
   */
  run(text, pair = null, changes = {}, padding = 0) {
    const tokens = this.tokenizer.encode(text, pair, padding);
    const length = tokens.length - padding;
    const input = { ids: tokens.map(({ id }) => id), segments: tokens.map(({ segment }) => segment), length };
    const keep = this.network.keep(input, changes);
    return { characters: [...text, ...(pair ?? "")], tokens, length, changes, keep, tensors: this.network.run(input, changes) };
  }

  /**
   * Return the data of the page of a forward pass.
   * @param {LiveRun} run
   * @param {LiveRun | null} before - Another one to compare with. A step is compared if its two tensors have the same shape.
   * @param {string} label - What the page calls the other one.
   * @returns {LiveData}
   */
  data(run, before = null, label = "before") {
    const { formulas, overview, letters } = this.templates;
    const isMasked = run.length < run.tokens.length && !run.changes.noMask;
    const templates = isMasked ? this.maskedTemplates : this.templates;
    const positions = this.network.predictedTokens(run.tokens.slice(0, run.length).map(({ id }) => id));
    const [n, p] = [run.tokens.length, positions.length];
    const terms = [1, n, n * n, p, n * p];
    const labels = this.labels(run, positions);
    const tensors = { ...textTensors(run), ...this.parameters, ...this.constants(run, terms, templates) };
    const steps = templates.steps.map((template) => this.step(filled(template, terms), run, positions));
    for (const step of steps.filter(isComputed)) {
      tensors[step.path] = recordOf(this.tensor(run, step.path));
      change(step, run.changes, this.templates.aliases[step.path] ?? [], tensors);
    }
    if (before) {
      this.compare(steps, tensors, before, label);
    }
    const predictions = predictionSteps(steps).flatMap((step) => predictionsOf(step, labels, tensors, hasPair(run)));
    return { labels, tensors, formulas, steps, overview, predictions, letters };
  }

  /**
   * Return the tensor of a step as later steps use it.
   * @param {LiveRun} run
   * @param {string} path
   */
  tensor(run, path) {
    const used = this.templates.aliases[path]?.at(-1) ?? path;
    return /** @type {FloatTensor} */ (run.tensors.get(used));
  }

  /**
   * Complete a step with what follows from the text.
   * @param {Step} step
   * @param {LiveRun} run
   * @param {number[]} positions
   * @returns {Step}
   */
  step(step, run, positions) {
    for (const axis of step.axes) {
      axis.size ??= run.characters.length;
    }
    if (step.sources) {
      step.sources.ranges = run.tokens.map(({ span }, token) => (step.path === "text.pieces" ? span : [token, token + 1]));
    }
    if (step.axes.some(({ labels }) => labels === "next_sentence") && !hasPair(run)) {
      step.explanation += ` ${this.templates.noPair}`;
    }
    setStarts(step.expression, positions);
    return step;
  }

  /**
   * Return the names of the positions on all axes.
   * @param {LiveRun} run
   * @param {number[]} positions
   * @returns {Record<string, string[]>}
   */
  labels({ characters, tokens }, positions) {
    const pieces = tokens.map(({ piece }) => printable(piece));
    return {
      ...this.templates.labels,
      characters: characters.map(printable),
      tokens: pieces,
      positions: positions.map((token) => pieces[token]),
      vocabulary: this.vocabulary,
    };
  }

  /**
   * Return the inputs of expressions that are no steps.
   * @param {LiveRun} run
   * @param {number[]} terms
   * @param {Templates} templates
   * @returns {Record<string, TensorRecord>}
   */
  constants({ tokens, keep }, terms, templates) {
    const positions = this.network.positions(tokens.map(({ id }) => id));
    return Object.fromEntries(
      filled(templates.constants, terms).map((/** @type {any} */ { name, shape, dtype, values }) => {
        const numbers = Array.from({ length: productOf(shape) }, (_, place) => {
          switch (values) {
            case "masked":
              return 1 - keep.data[place];
            case "positions":
              return positions[place];
            case "segments":
              return tokens[place].segment;
            default:
              return Array.isArray(values) ? values[place] : values;
          }
        });
        return [name, { shape, dtype, data: ARRAY_TYPES[/** @type {keyof typeof ARRAY_TYPES} */ (dtype)].from(numbers) }];
      }),
    );
  }

  /**
   * Add a second tensor to each step.
   * @param {Step[]} steps
   * @param {Record<string, TensorRecord>} tensors
   * @param {LiveRun} before
   * @param {string} label
   */
  compare(steps, tensors, before, label) {
    for (const step of steps.filter(isComputed)) {
      const other = this.tensor(before, step.path);
      if (other.shape.join() === tensors[step.path].shape.join()) {
        step.other = { label, tensor: `${step.path}: ${label}`, isBefore: true };
        tensors[step.other.tensor] = recordOf(other);
      }
    }
  }
}

/**
 * Return a template with the numbers of a text.
 * @param {any} template
 * @param {number[]} terms
 * @returns {any}
 */
function filled(template, terms) {
  if (Array.isArray(template)) {
    return template.map((part) => filled(part, terms));
  }
  if (template === null || typeof template !== "object") {
    return template;
  }
  if ("polynomial" in template) {
    return terms.reduce((sum, term, number) => sum + term * template.polynomial[number], 0);
  }
  if ("joined" in template) {
    return filled(template.joined, terms).join("");
  }
  return Object.fromEntries(Object.entries(template).map(([name, part]) => [name, filled(part, terms)]));
}

/**
 * Let the rows that an expression chooses be those of the predicted tokens.
 * @param {Tree | null} tree
 * @param {number[]} positions
 */
function setStarts(tree, positions) {
  if (tree === null || typeof tree !== "object" || "leaf" in tree) {
    return;
  }
  if (tree.starts) {
    const [{ shape }] = /** @type {Leaf[]} */ (tree.args);
    tree.starts = positions.map((position) => position * (shape.at(-1) ?? 1));
  }
  for (const part of tree.args) {
    setStarts(part, positions);
  }
}

/**
 * @param {FloatTensor} tensor
 * @returns {TensorRecord}
 */
function recordOf({ shape, data }) {
  return { shape, dtype: "float32", data };
}

/**
 * Return the numbers of the steps from characters to ids.
 * @param {LiveRun} run
 * @returns {Record<string, TensorRecord>}
 */
function textTensors({ characters, tokens }) {
  const numbers = {
    "text.characters": characters.map((character) => character.codePointAt(0) ?? 0),
    "text.pieces": tokens.map(({ span: [start, end] }) => end - start),
    "text.ids": tokens.map(({ id }) => id),
  };
  return Object.fromEntries(
    Object.entries(numbers).map(([path, each]) => [
      path,
      { shape: [each.length], dtype: "int32", data: Int32Array.from(each) },
    ]),
  );
}

/** @param {LiveRun} run */
function hasPair({ tokens }) {
  return tokens.some(({ segment }) => segment === 1);
}

/** @param {Step} step */
function isComputed({ path }) {
  return !path.startsWith("text.");
}

/**
 * Replace the characters that Python's `printable` replaces, in the same way.
 * @param {string} text
 */
function printable(text) {
  return text.replace(
    /[\p{Cc}\p{Cs}\u2028\u2029\u202a-\u202e\u2066-\u2069]/gu,
    (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, "0")}`,
  );
}
