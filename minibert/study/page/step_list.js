// The list of steps, in groups. A group of one step is this step.

/** @type {Record<string, string>} Headings that say what an abbreviation means. */
const GROUP_TITLES = {
  MLM: "MLM: masked-word prediction",
  NSP: "NSP: next-sentence prediction",
  Pooler: "Pooler: the vector of the whole text",
  Projection: "Projection to the width of the layers",
  SOP: "SOP: sentence-order prediction",
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
    /** @type {Map<string, {link: HTMLAnchorElement, group: HTMLDetailsElement | null}>} */
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
    this.container.querySelectorAll("details, ol").forEach((each) => {
      each.remove();
    });
    this.groups = [];
    this.entries.clear();
    this.current = null;
    for (const [name, steps] of groupsOf(walk.steps)) {
      const title = GROUP_TITLES[name] ?? name;
      const links = steps.map((step) => this.link(step, steps.length > 1 ? step.name : title));
      const list = element("ol", {}, ...links.map((link) => element("li", {}, link)));
      const summary = element("summary", {}, title, absence(steps[0]));
      const group = steps.length > 1 ? element("details", {}, summary, list) : null;
      if (group) {
        group.open = isOpen[this.groups.length] ?? false;
        this.groups.push(group);
      }
      this.container.append(group ?? list);
      for (const [number, step] of steps.entries()) {
        this.entries.set(step.path, { link: links[number], group });
      }
    }
  }

  /**
   * @param {Step} step
   * @param {string} name
   */
  link(step, name) {
    const symbol = element("span", { class: "symbol" }, ...symbolParts(step.symbol));
    const failure = element("strong", { class: "failure" }, step.failure ? "failed" : "");
    return element(
      "a",
      { href: this.address(step), "data-step": step.path, title: step.path },
      name,
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
    if (entry.group) {
      entry.group.open = true;
    }
    this.current = entry.link;
    window.requestAnimationFrame(() => {
      if (entry.link === this.current) {
        reveal(entry.link);
      }
    });
  }
}

/**
 * Return the steps by their groups, in order.
 * @param {Step[]} steps
 * @returns {Map<string, Step[]>}
 */
function groupsOf(steps) {
  /** @type {Map<string, Step[]>} */
  const groups = new Map();
  for (const step of steps) {
    groups.set(step.group, [...(groups.get(step.group) ?? []), step]);
  }
  return groups;
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
