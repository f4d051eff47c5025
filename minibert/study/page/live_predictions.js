// The best predictions of a live page.

/** Number of predictions that the page lists for each token. */
const TOP = 5;

/**
 * Return the steps with predictions. Without probabilities, as in a regression, they are the scores.
 * @param {Step[]} steps
 */
function predictionSteps(steps) {
  const found = steps.filter(({ path }) => path.endsWith("probabilities"));
  return found.length > 0 ? found : steps.filter(({ path }) => path.endsWith("logits"));
}

/**
 * Return the best entries of each row of a step.
 * @param {Step} step
 * @param {Record<string, string[]>} labels
 * @param {Record<string, TensorRecord>} tensors
 * @param {boolean} hasPair
 * @returns {Prediction[]}
 */
function predictionsOf({ path, group, axes }, labels, tensors, hasPair) {
  const values = /** @type {Float32Array} */ (tensors[path].data);
  const [rowAxis, axis] = [axes.at(-2), /** @type {Axis} */ (axes.at(-1))];
  return Array.from({ length: values.length / axis.size }, (_, row) => {
    const numbers = values.subarray(row * axis.size, (row + 1) * axis.size);
    const label = rowAxis?.labels ? labels[rowAxis.labels][row] : "";
    return {
      step: path,
      name: group,
      label: axis.labels === "next_sentence" && !hasPair ? "(the text has no sentence B)" : label,
      best: largest(numbers, TOP).map((place) => ({
        text: axis.labels ? labels[axis.labels][place] : String(place),
        value: numbers[place],
        cell: [row, place],
      })),
    };
  });
}

/**
 * Return the places of the largest numbers, the largest first.
 * @param {Float32Array} numbers
 * @param {number} count
 */
function largest(numbers, count) {
  /** @type {number[]} */
  const best = [];
  for (let place = 0; place < numbers.length; place++) {
    if (best.length < count || numbers[place] > numbers[best[count - 1]]) {
      const rank = best.findIndex((other) => numbers[place] > numbers[other]);
      best.splice(rank < 0 ? best.length : rank, 0, place);
      best.length = Math.min(best.length, count);
    }
  }
  return best;
}
