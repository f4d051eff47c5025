// The list of steps, in groups.

/** @type {Record<string, string>} Headings that say what an abbreviation means. */
const GROUP_TITLES = {
  MLM: "MLM: masked-word prediction",
  NSP: "NSP: next-sentence prediction",
  Pooler: "Pooler: the vector of the whole text",
  Projection: "Projection to the width of the layers",
  Replaced: "Replaced-token detection",
};

class StepList {
  /**
   * @param {HTMLElement} container
   * @param {(step: Step) => string} address - Hash of the address of a step.
   */
  constructor(container, address) {
    this.container = container;
    this.address = address;
    /** @type {HTMLDetailsElement[]} */
    this.groups = [];
    /** @type {Map<string, {link: HTMLAnchorElement, group: HTMLDetailsElement}>} */
    this.entries = new Map();
    /** @type {HTMLAnchorElement | null} */
    this.current = null;
  }

  /**
   * Show the steps of a walk. A group that was open stays open.
   * @param {Walk} walk
   */
  showWalk(walk) {
    const isOpen = this.groups.map((group) => group.open);
    this.container.querySelectorAll("details").forEach((group) => {
      group.remove();
    });
    this.entries.clear();
    this.current = null;
    /** @type {Map<string, HTMLDetailsElement>} */
    const groups = new Map();
    for (const step of walk.steps) {
      const group =
        groups.get(step.group) ??
        element("details", {}, element("summary", {}, GROUP_TITLES[step.group] ?? step.group, absence(step)), element("ol"));
      groups.set(step.group, group);
      const link = this.link(step);
      group.lastElementChild?.append(element("li", {}, link));
      this.entries.set(step.path, { link, group });
    }
    this.groups = [...groups.values()];
    this.groups.forEach((group, number) => {
      group.open = isOpen[number] ?? false;
    });
    this.container.append(...this.groups);
  }

  /** @param {Step} step */
  link(step) {
    const symbol = element("span", { class: "symbol" }, ...symbolParts(step.symbol));
    const failure = element("strong", { class: "failure" }, step.failure ? "failed" : "");
    return element(
      "a",
      { href: this.address(step), "data-step": step.path, title: step.path },
      step.name,
      " ",
      symbol,
      " ",
      failure,
    );
  }

  /**
   * Mark a step as the current one and make it visible in the list.
   * @param {Step} step
   */
  show(step) {
    const entry = this.entries.get(step.path);
    if (!entry || entry.link === this.current) {
      return;
    }
    this.current?.removeAttribute("aria-current");
    entry.link.setAttribute("aria-current", "step");
    entry.group.open = true;
    this.current = entry.link;
    window.requestAnimationFrame(() => {
      if (entry.link === this.current) {
        reveal(entry.link);
      }
    });
  }
}

/**
 * Return a note on a layer of which the page does not have all numbers.
 * @param {Step} step
 */
function absence(step) {
  return element("span", { class: "shape" }, step.omitted ? " (attention weights only)" : "");
}

/**
 * Return the name of a step with its group, such as "layer 0: attention scores".
 * @param {Step} step
 */
function stepTitle(step) {
  const isWord = /^.[a-z]/.test(step.group);
  return `${isWord ? step.group[0].toLowerCase() + step.group.slice(1) : step.group}: ${step.name}`;
}

/**
 * Scroll the list, and not the page, until a link is visible.
 * @param {HTMLElement} link
 */
function reveal(link) {
  const list = /** @type {HTMLElement} */ (link.closest("nav"));
  const [inner, outer] = [link.getBoundingClientRect(), list.getBoundingClientRect()];
  if (inner.top < outer.top || inner.bottom > outer.bottom) {
    list.scrollTop += inner.top - outer.top - outer.height / 3;
  }
}
