// The choice of a ready experiment: a question, and an answer that the reader reveals.

/**
 * `address`: the hash of its address.
 * @typedef {{name: string, question: string, answer: string, address: string}} ReadyExperiment
 */

/**
 * If the address names a ready experiment, such as #experiment=Scale, replace it by the address of that experiment.
 * @param {ReadyExperiment[]} list
 */
function openNamedExperiment(list) {
  const name = new URLSearchParams(window.location.hash.slice(1)).get("experiment");
  const named = list.find((each) => each.name === name);
  if (named) {
    window.history.replaceState(null, "", named.address);
  }
}

class ExperimentChoice {
  /**
   * @param {ReadyExperiment[]} list
   * @param {(address: string) => void} open
   */
  constructor(list, open) {
    this.list = list;
    byId("choice").append(...list.map(({ name }, number) => element("option", { value: number }, `${number + 1}. ${name}`)));
    byId("choice").addEventListener("change", () => {
      const chosen = list[Number(this.field.value || -1)];
      if (chosen) {
        open(chosen.address);
      }
    });
  }

  get field() {
    return /** @type {HTMLSelectElement} */ (byId("choice"));
  }

  /**
   * Show the question of the experiment that the page shows, if it is one of the list.
   * @param {(address: string) => boolean} isShown
   * @param {boolean} keeps - Otherwise the question that is shown stays: the reader has gone on from there.
   */
  show(isShown, keeps) {
    const found = this.list.findIndex(({ address }) => isShown(address));
    const number = found < 0 && keeps ? Number(this.field.value || -1) : found;
    const { question = "", answer = "" } = this.list[number] ?? {};
    this.field.value = number < 0 ? "" : String(number);
    const box = byId("answer");
    if (byId("question").textContent !== question) {
      setText(byId("question"), question);
      setAttributes(box, { open: false, hidden: number < 0 });
      setText(/** @type {HTMLElement} */ (box.lastElementChild), answer);
    }
  }
}
