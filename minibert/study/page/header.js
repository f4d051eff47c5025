// The header: the title, the text, what was run, and the predictions.

/** @type {Record<string, string>} Headings of predictions that differ from those of their steps. */
const PREDICTION_TITLES = { Probabilities: "Next token after" };

/**
 * Show the title, the text, what was run, and the predictions.
 * @param {Walk} walk
 * @param {(step: string, row: number, column: number) => string} address
 */
function showHeader(walk, address) {
  const { title, text, facts, predictions } = walk.data;
  setText(byId("title"), title);
  setText(byId("text"), text);
  byId("facts").replaceChildren(
    ...facts.map(([name, value]) => element("div", {}, element("dt", {}, name), element("dd", { dir: "auto" }, value))),
  );
  const start =
    predictions.length > 0
      ? "Choose a prediction to walk back from it to the characters: each number leads to those that it was computed from."
      : "This model has no head that predicts. Choose a step, then a cell: each number leads to those that it was computed from.";
  const list = predictions.map((prediction) => {
    const links = prediction.best.map(({ text: name, value, cell: [row, column] }) => {
      const link = element("a", { href: address(prediction.step, row, column) }, element("bdi", {}, name));
      return element("li", {}, link, ` ${short(value)}`, ...earlierValue(walk, prediction.step, row, column));
    });
    return element(
      "div",
      {},
      element("h2", {}, `${PREDICTION_TITLES[prediction.name] ?? prediction.name} `, element("bdi", {}, prediction.label)),
      element("ol", {}, ...links),
    );
  });
  byId("predictions").replaceChildren(...list, element("p", { id: "start" }, start));
}

/**
 * Return the probability of a prediction before a change, if there was one.
 * @param {Walk} walk
 * @param {string} path
 * @param {number} row
 * @param {number} column
 */
function earlierValue(walk, path, row, column) {
  const other = walk.step(path)?.other;
  const tensor = other?.isBefore ? walk.tensor(other.tensor) : null;
  return tensor
    ? [element("span", { class: "shape" }, ` (${other?.label} ${short(tensor.at(tensor.index(0, row, column)))})`)]
    : [];
}
