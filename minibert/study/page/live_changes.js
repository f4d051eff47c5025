// What the changes of a reader make of a step: its calculation, and a sentence that names the change. The numbers are changed
// in recording.js, in the same order.

/**
 * A change of a step.
 * @typedef {{message: string, apply: (tree: Tree) => Tree}} StepChange
 */

/**
 * Change a step as a reader wants. Its omissions are left out: they are about the calculation that it had before.
 * @param {Step} step
 * @param {Changes} changes
 * @param {string[]} aliases - Other paths of its tensor.
 * @param {Record<string, TensorRecord>} tensors - Gets those that the calculation uses.
 */
function change(step, changes, aliases, tensors) {
  const first = firstInput((path) => path in tensors);
  for (const path of [step.path, ...aliases]) {
    for (const { message, apply } of [...switchesOf(step, path, changes, first), ...overwrites(step, path, changes, tensors)]) {
      step.explanation += ` Changed: ${message}`;
      step.expression = step.expression && apply(step.expression);
      const used = leavesOf(step.expression).filter(({ kind }) => kind === "step");
      step.inputs = [...new Set(used.map(({ leaf }) => leaf))];
      step.omissions = [];
    }
  }
}

/**
 * Return what the switches change at a path.
 * @param {Step} step
 * @param {string} path
 * @param {Changes} changes
 * @param {string} first - The path of the input of the first layer.
 * @returns {StepChange[]}
 */
function switchesOf(step, path, changes, first) {
  const { layer } = step;
  const { noPositions, noMask, noScale, attentionTemperature = 1, residualsOff, layersOff, temperature = 1 } = changes;
  const [before, name] = layer === null ? ["", path] : path.split(`layers.${layer}.`);
  /** @type {(message: string, apply: (tree: Tree) => Tree) => StepChange} */
  const made = (message, apply) => ({ message, apply });
  /** @type {(input: string) => (tree: Tree) => Tree} */
  const only = (input) => (tree) => ({ leaf: input, kind: "step", shape: shapeOf(tree) });
  const input = layer === 0 ? first : step.path.replace(`layers.${layer}.`, `layers.${(layer ?? 0) - 1}.`);
  const found = [
    ["embeddings.positions", "decoder.vectors"].includes(name) &&
      noPositions &&
      made("the numbers are multiplied by 0.", (tree) => applied("mul", tree, 0)),
    name === "attention.scores" &&
      noScale &&
      made("the dot products are not divided by √d_k.", (tree) => /** @type {Operation} */ (tree).args[0]),
    name === "attention.scores" &&
      attentionTemperature !== 1 &&
      made(`the scores are divided by the temperature ${attentionTemperature}.`, dividedBy(attentionTemperature)),
    name === "attention.masked_scores" && noMask && made("every token may be attended to.", (tree) => tree),
    name === "attention_residual" &&
      residualsOff?.includes("attention") &&
      made("the input of attention is not added.", only(`${before}layers.${layer}.attention.output`)),
    name === "feed_forward_residual" &&
      residualsOff?.includes("feed_forward") &&
      made("the input of the feed-forward network is not added.", only(`${before}layers.${layer}.feed_forward`)),
    name === "output" &&
      layer !== null &&
      layersOff?.includes(layer) &&
      made("the layer is off: its output is its input.", only(input)),
    name.endsWith("probabilities") &&
      temperature !== 1 &&
      hasSoftmax(step) &&
      made(`the scores are divided by the temperature ${temperature}.`, (tree) => ofSteps(tree, dividedBy(temperature))),
  ];
  return found.filter((each) => each !== undefined && typeof each === "object");
}

/**
 * Return the changes of single numbers: those of heads that are off, and those that a reader wrote.
 * @param {Step} step
 * @param {string} path
 * @param {Changes} changes
 * @param {Record<string, TensorRecord>} tensors - Gets the numbers.
 * @returns {StepChange[]}
 */
function overwrites(step, path, changes, tensors) {
  const { shape } = tensors[step.path];
  const size = productOf(shape);
  const heads = headsOff(step, path, shape, changes);
  const zeros = heads.flatMap((head) => cellsOfHead(head, shape)).map((cell) => [cell, 0]);
  const inside = Object.entries(changes.cells?.[path] ?? {}).flatMap(([cell, number]) => {
    const place = placeOf(cell, shape);
    return place === null ? [] : [[place, number]];
  });
  /** @type {[string, number[][], string][]} */
  const found = [
    [`zeros in ${path}`, zeros, `the context of each head that is off is zero. Heads that are off: ${heads.join(", ")}.`],
    [
      `your numbers in ${path}`,
      inside,
      `you wrote ${inside.length === 1 ? "one number" : `${inside.length} numbers`} yourself.`,
    ],
  ];
  return found
    .filter(([, cells]) => cells.length > 0)
    .map(([name, cells, message]) => {
      const data = new Float32Array(size);
      for (const [cell, number] of cells) {
        data[cell] = number;
      }
      tensors[name] = { shape, dtype: "float32", data };
      return { message, apply: (tree) => withNumbers(tree, name, new Set(cells.map(([cell]) => cell))) };
    });
}

/**
 * Return the heads that are off at a path, each once.
 * @param {Step} step
 * @param {string} path
 * @param {number[]} shape
 * @param {Changes} changes
 */
function headsOff({ layer }, path, shape, changes) {
  const off = path.endsWith(".attention.context") ? (changes.headsOff ?? []) : [];
  return [...new Set(off.filter(([number, head]) => number === layer && head < shape[1]).map(([, head]) => head))];
}

/**
 * Return the cells of a head.
 * @param {number} head
 * @param {number[]} shape - (1 heads queries width)
 */
function cellsOfHead(head, shape) {
  const size = productOf(shape.slice(2));
  return Array.from({ length: size }, (_, place) => head * size + place);
}

/**
 * Return an expression with other numbers in some cells. It chooses from two tensors with views only, so that the page shows
 * no calculation for a number that was chosen.
 * @param {Tree} tree
 * @param {string} name - The tensor of the other numbers.
 * @param {Set<number>} cells
 * @returns {Operation}
 */
function withNumbers(tree, name, cells) {
  const shape = shapeOf(tree);
  const size = productOf(shape);
  const stacked = { op: "stack", axis: 0, shape: [2, ...shape], args: [tree, { leaf: name, kind: "constant", shape }] };
  const starts = Array.from({ length: size }, (_, cell) => (cells.has(cell) ? size + cell : cell));
  return { op: "reshape", shape, args: [{ op: "rows", shape: [size, 1], starts, strides: [0], args: [stacked] }] };
}

/**
 * Apply an elementwise function to a tensor and a number.
 * @param {string} op
 * @param {Tree} tree
 * @param {number} number
 * @returns {Operation}
 */
function applied(op, tree, number) {
  return { op, shape: shapeOf(tree), args: [tree, number] };
}

/**
 * @param {number} number
 * @returns {(tree: Tree) => Tree}
 */
function dividedBy(number) {
  return (tree) => applied("div", tree, number);
}

/**
 * Apply a function to each step that an expression uses.
 * @param {Tree} tree
 * @param {(leaf: Leaf) => Tree} apply
 * @returns {Tree}
 */
function ofSteps(tree, apply) {
  if (typeof tree !== "object") {
    return tree;
  }
  if ("leaf" in tree) {
    return tree.kind === "step" ? apply(tree) : tree;
  }
  return { ...tree, args: tree.args.map((part) => ofSteps(part, apply)) };
}

/**
 * Return whether probabilities exclude each other. Those that do not are made of each score alone.
 * @param {Step} step
 */
function hasSoftmax({ equation }) {
  return equation === "softmax";
}

/** @param {Tree} tree */
function shapeOf(tree) {
  return typeof tree === "object" ? tree.shape : [];
}
