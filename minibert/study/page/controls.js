// The controls of a live page: they show an experiment, and tell what a reader makes of it.

/** Words of a text besides [MASK]: a special token, a Chinese character, a word, or a sign. */
const WORD = /\[[A-Z]+\]|\p{Script=Han}|[\p{L}\p{N}\p{M}]+|[^\s\p{L}\p{N}\p{M}]/u;
/** Time between a key and the new numbers, in milliseconds. */
const TYPING_PAUSE = 120;

/** @param {string} id */
function inputById(id) {
  return /** @type {HTMLInputElement} */ (byId(id));
}

class Controls {
  /**
   * @param {Experiments} experiments
   * @param {number[]} heads - Of each layer.
   * @param {string | null} mask - The token [MASK], which can have another name.
   * @param {(experiment: Experiment, isTyping: boolean) => void} change
   */
  constructor(experiments, heads, mask, change) {
    this.change = change;
    this.mask = mask;
    this.words = new RegExp([...(mask ? [literalPattern(mask)] : []), WORD.source].join("|"), "gu");
    this.experiment = experiments.opened;
    this.opened = experiments.opened;
    this.experiments = experiments;
    /** @type {{field: "text" | "pair", number: number}} */
    this.word = { field: "text", number: 0 };
    this.typingTimer = 0;
    byId("word-mask").hidden = mask === null;
    if (mask !== null) {
      setText(byId("word-mask"), `Replace by ${mask}`);
      setAttribute(byId("words"), "aria-label", "Words: choose one to move or mask it");
    }
    byId("pair-field").hidden = !experiments.hasPair;
    byId("padding-field").hidden = !experiments.hasPadding;
    byId("parts").append(...Object.entries(PARTS).map(([part, name]) => toggle(part, name, name)));
    byId("heads-on").append(
      ...heads.map((count, layer) => {
        const ofHeads = Array.from({ length: count }, (_, head) => toggle(`${layer}.${head}`, String(head)));
        return element("div", { class: "layer" }, toggle(String(layer), `Layer ${layer}`), ...ofHeads);
      }),
    );
    this.listen();
  }

  listen() {
    byId("texts").addEventListener("input", () => this.typed());
    byId("texts").addEventListener("keydown", (event) => {
      if (event.key === "Enter" && event.target instanceof HTMLInputElement) {
        this.applyTexts();
      }
    });
    byId("experiment").addEventListener("click", (event) => {
      const button = event.target instanceof Element ? event.target.closest("button") : null;
      const part = button?.dataset.part;
      if (part) {
        const { off } = this.experiment;
        const others = off.filter((other) => other !== part);
        this.set({ off: others.length === off.length ? [...off, part] : others });
      }
      if (button?.dataset.word) {
        const { field, word } = button.dataset;
        this.word = { field: field === "pair" ? "pair" : "text", number: Number(word) };
        this.showWords();
      }
    });
    byId("word-before").addEventListener("click", () => this.moveWord(-1));
    byId("word-after").addEventListener("click", () => this.moveWord(1));
    byId("word-mask").addEventListener("click", () => this.replaceWords(new Map([[this.word.number, this.mask ?? ""]])));
    byId("attention-temperature").addEventListener("input", (event) => this.set({ attention: temperatureOf(event) }, true));
    byId("prediction-temperature").addEventListener("input", (event) => this.set({ temperature: temperatureOf(event) }, true));
  }

  /**
   * @param {Partial<Experiment>} change
   * @param {boolean} [isTyping] - More changes of the same kind follow.
   */
  set(change, isTyping = false) {
    this.change({ ...this.experiment, ...change }, isTyping);
  }

  /** Compute what was typed, once the reader pauses. */
  typed() {
    window.clearTimeout(this.typingTimer);
    this.typingTimer = window.setTimeout(() => this.applyTexts(), TYPING_PAUSE);
  }

  applyTexts() {
    window.clearTimeout(this.typingTimer);
    const [text, pair, padding] = ["sentence", "pair", "padding"].map((id) => inputById(id).value);
    this.set({ text, pair: pair || null, padding: Number(padding) }, true);
  }

  /**
   * Show an experiment.
   * @param {Experiment} experiment
   * @param {(path: string, cell: number[]) => string} nameOf - The name of a cell.
   */
  show(experiment, nameOf) {
    window.clearTimeout(this.typingTimer);
    this.experiment = experiment;
    showText(inputById("sentence"), experiment.text);
    showText(inputById("pair"), experiment.pair ?? "");
    showText(inputById("padding"), String(experiment.padding));
    for (const button of /** @type {NodeListOf<HTMLElement>} */ (byId("controls").querySelectorAll("[data-part]"))) {
      const part = button.dataset.part ?? "";
      setAttributes(button, {
        "aria-pressed": String(!experiment.off.includes(part)),
        disabled: part === "mask" && !this.experiments.hasMask(experiment.padding),
      });
    }
    showTemperature(inputById("attention-temperature"), experiment.attention);
    showTemperature(inputById("prediction-temperature"), experiment.temperature);
    this.showWords();
    this.showChanges(nameOf);
    this.showProblem("");
  }

  /** @param {string} message */
  showProblem(message) {
    setText(byId("problem"), message);
    for (const id of ["sentence", "pair"]) {
      setAttribute(byId(id), "aria-invalid", message ? "true" : null);
    }
  }

  /**
   * List the changes as buttons that take each one back.
   * @param {(path: string, cell: number[]) => string} nameOf
   */
  showChanges(nameOf) {
    const list = byId("changes");
    const hadFocus = list.contains(document.activeElement);
    const { text, pair } = this.opened;
    const isOpenedText = this.experiment.text === text && this.experiment.pair === pair;
    const buttons = changesInWords(this.experiment, nameOf).map(({ text: name, without }) =>
      this.button(`${name} ×`, `Take back: ${name}`, without),
    );
    if (buttons.length > 0 || !isOpenedText) {
      buttons.push(this.button("Take back everything", "", this.opened));
    }
    list.replaceChildren(...buttons);
    if (hadFocus) {
      (list.querySelector("button") ?? byId("sentence")).focus();
    }
  }

  /**
   * @param {string} text
   * @param {string} title
   * @param {Experiment} experiment - What the button leads to.
   */
  button(text, title, experiment) {
    const button = element("button", { type: "button", title: title || null }, text);
    button.addEventListener("click", () => this.change(experiment, false));
    return button;
  }

  /** Show the words as buttons. */
  showWords() {
    const list = byId("words");
    const hadFocus = list.contains(document.activeElement);
    const fields = /** @type {const} */ (["text", "pair"]);
    const words = fields.flatMap((field) =>
      this.wordsOf(this.experiment[field]).map((word, number) => ({ field, word, number })),
    );
    const chosen = words.find(({ field, number }) => field === this.word.field && number === this.word.number) ?? words[0];
    this.word = { field: chosen?.field ?? "text", number: chosen?.number ?? 0 };
    list.replaceChildren(
      ...words.map((each) => {
        const { field, word, number } = each;
        const isChosen = String(each === chosen);
        const attributes = { type: "button", "data-field": field, "data-word": number, "aria-pressed": isChosen, dir: "auto" };
        return element("button", attributes, printable(word));
      }),
    );
    const count = words.filter(({ field }) => field === this.word.field).length;
    setAttributes(byId("word-before"), { disabled: this.word.number === 0 });
    setAttributes(byId("word-after"), { disabled: this.word.number >= count - 1 });
    setAttributes(byId("word-mask"), { disabled: words.length === 0 });
    if (hadFocus) {
      /** @type {HTMLElement | null} */ (list.querySelector("[aria-pressed='true']"))?.focus();
    }
  }

  /** @param {string | null} text */
  wordsOf(text) {
    return (text ?? "").match(this.words) ?? [];
  }

  /**
   * Let the chosen word change places with a neighbor.
   * @param {number} distance
   */
  moveWord(distance) {
    const { field, number } = this.word;
    const words = this.wordsOf(this.experiment[field]);
    const other = number + distance;
    this.word = { field, number: other };
    this.replaceWords(
      new Map([
        [number, words[other]],
        [other, words[number]],
      ]),
      field,
    );
  }

  /**
   * @param {Map<number, string>} words - By their numbers.
   * @param {"text" | "pair"} [field]
   */
  replaceWords(words, field = this.word.field) {
    let number = 0;
    this.set({ [field]: (this.experiment[field] ?? "").replace(this.words, (word) => words.get(number++) ?? word) });
  }
}

/**
 * Return a button that switches a part of the network off and on.
 * @param {string} part
 * @param {string} text
 * @param {string} [name]
 */
function toggle(part, text, name = partName(part)) {
  return element("button", { type: "button", "data-part": part, "aria-label": name, "aria-pressed": "true" }, text);
}

/**
 * Return the temperature of a slider, whose number is its logarithm to the base 2.
 * @param {Event} event
 */
function temperatureOf(event) {
  return Number((2 ** Number(/** @type {HTMLInputElement} */ (event.target).value)).toPrecision(3));
}

/**
 * @param {HTMLInputElement} slider
 * @param {number} temperature
 */
function showTemperature(slider, temperature) {
  slider.value = String(Math.log2(temperature));
  setAttribute(slider, "aria-valuetext", short(temperature));
  setText(/** @type {HTMLElement} */ (slider.previousElementSibling), short(temperature));
}

/**
 * Show a text in a field, which has no line ends. The cursor stays where it is if the field has the text.
 * @param {HTMLInputElement} field
 * @param {string} text
 */
function showText(field, text) {
  const line = text.replace(/[\r\n]/g, " ");
  if (field.value !== line) {
    field.value = line;
  }
}
