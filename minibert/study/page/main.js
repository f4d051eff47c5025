// The events of keys and pointer, and the start of the page.

/**
 * Return the cell of the matrix that an event happened in.
 * @param {Event} event
 * @returns {[number, number] | null}
 */
function cellOfEvent(event) {
  const cell = event.target instanceof Element ? event.target.closest("td[data-row]") : null;
  return cell instanceof HTMLElement ? [Number(cell.dataset.row), Number(cell.dataset.column)] : null;
}

/**
 * Return the cell of a heat map that an event happened in.
 * @param {MouseEvent} event
 * @returns {Partial<State>}
 */
function cellOfMap(event) {
  const map = event.target;
  if (!(map instanceof HTMLCanvasElement)) {
    return {};
  }
  const { rows, columns } = map.dataset;
  const { left, top, width, height } = map.getBoundingClientRect();
  return {
    row: Math.floor(((event.clientY - top) / height) * Number(rows)),
    column: Math.floor(((event.clientX - left) / width) * Number(columns)),
  };
}

/** @param {Page} page */
function listen(page) {
  document.addEventListener("keydown", (event) => {
    const target = /** @type {Element} */ (event.target);
    const isTyping =
      target.closest("dialog[open]") !== null || (target.closest("input, select") !== null && event.key !== "Escape");
    const isInGrid = cellOfEvent(event) !== null;
    if (isTyping || event.altKey || event.metaKey || (event.ctrlKey && !isInGrid)) {
      return;
    }
    const isOnControl = (event.key === "Enter" || event.key === " ") && !isInGrid;
    const isHandled = isInGrid && page.pressInGrid(event.key, event.ctrlKey || event.shiftKey);
    if (isHandled || (!isOnControl && !event.ctrlKey && page.press(event.key))) {
      event.preventDefault();
    }
  });
  document.addEventListener("click", (event) => {
    const target = event.target instanceof Element ? event.target.closest("a, button") : null;
    if (target instanceof HTMLAnchorElement && !event.ctrlKey && !event.metaKey && !event.shiftKey) {
      event.preventDefault();
      if (target.dataset.focus) {
        page.press(target.dataset.focus);
      } else {
        page.follow(target, cellOfMap(event));
      }
    } else if (target instanceof HTMLElement && target.dataset.key) {
      page.press(target.dataset.key);
    } else if (target instanceof HTMLElement && target.dataset.move) {
      page.select(page.grid.target(target.dataset.move, true) ?? [0, 0]);
    }
  });
  const matrix = byId("matrix");
  matrix.addEventListener("click", (event) => {
    const cell = cellOfEvent(event);
    if (cell) {
      page.pin(cell);
      page.grid.focus();
    }
  });
  let place = "";
  document.addEventListener("mousemove", (event) => {
    const before = place;
    place = `${event.screenX},${event.screenY}`;
    if (place !== before && event.target instanceof Node && matrix.contains(event.target)) {
      page.hover(cellOfEvent(event)); // a page that changes under a resting pointer has events, too
    }
  });
  matrix.addEventListener("mouseleave", () => page.hover(null));
  byId("heads-button").addEventListener("click", () => page.press("h"));
  byId("keys-button").addEventListener("click", () => page.press("?"));
  byId("predict-button").addEventListener("click", () => page.togglePredict());
  byId("reveal").addEventListener("click", () => page.reveal(""));
  byId("sort").addEventListener("click", () => page.go({ sortedBy: page.state.sortedBy === null ? page.state.row : null }));
  byId("prediction").addEventListener("submit", (event) => {
    event.preventDefault();
    page.checkPrediction();
  });
  for (const name of ["popstate", "hashchange"]) {
    window.addEventListener(name, () => page.readAddress());
  }
  const narrow = window.matchMedia("(max-width: 45rem)");
  const fold = () => {
    for (const part of document.querySelectorAll("#step-list, #controls")) {
      setAttributes(part, { open: !narrow.matches });
    }
  };
  narrow.addEventListener("change", fold);
  fold();
  new ResizeObserver(([entry]) => page.fit(entry.contentRect.width)).observe(byId("main"));
}

/**
 * Decode or compute the numbers of one tensor after the other, each in a task of its own, before a key needs them.
 * @param {Walk} walk
 * @param {string[]} paths
 */
function decodeAhead(walk, paths) {
  const tensor = walk.tensor(paths[0] ?? "");
  if (tensor) {
    tensor.range(0);
    window.setTimeout(() => decodeAhead(walk, paths.slice(1)));
  }
}

const content = JSON.parse(byId("data").textContent ?? "");
const page = "network" in content ? new LivePage(content) : new Page(new Walk(content));
listen(page);
decodeAhead(page.walk, Object.keys(page.walk.data.tensors));
