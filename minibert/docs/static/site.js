// What screen readers and keyboards need and the theme lacks, and the space behind roots.
"use strict";

/** Let the keyboard scroll what is too wide. */
function makeScrollable() {
  for (const each of document.querySelectorAll("pre, .formula, .table-wrapper, .output")) {
    if (each.scrollWidth > each.clientWidth) {
      each.setAttribute("tabindex", "0");
    } else {
      each.removeAttribute("tabindex");
    }
  }
}

/**
 * Set an attribute of all elements.
 * @param {string} selector
 * @param {string} attribute
 * @param {string} value
 */
function setOnAll(selector, attribute, value) {
  for (const each of document.querySelectorAll(selector)) {
    each.setAttribute(attribute, value);
  }
}

/** Make data cells of the empty headings of tables, and give the search page the heading that it lacks. */
function correctHeadings() {
  for (const heading of document.querySelectorAll("th")) {
    if (!heading.textContent?.trim()) {
      heading.replaceWith(document.createElement("td"));
    }
  }
  if (!document.querySelector("h1")) {
    const heading = document.createElement("h1");
    heading.textContent = document.title;
    document.querySelector("article")?.prepend(heading);
  }
}

/** Make lines of the parameters of a signature, which Sphinx writes as a list without terms. */
function convertParameters() {
  for (const list of document.querySelectorAll("dt.sig dl")) {
    const lines = [...list.children].map((parameter) => {
      const line = document.createElement("div");
      line.className = "parameter";
      line.append(...parameter.childNodes);
      return line;
    });
    list.replaceWith(...lines);
  }
}

/** Remove the space behind roots. Chromium leaves room for the widest root sign of the font, whatever is under the root. */
function tightenRoots() {
  for (const root of [...document.querySelectorAll("msqrt")].reverse()) {
    const last = root.lastElementChild;
    if (last instanceof Element && root instanceof MathMLElement) {
      const space = root.getBoundingClientRect().right - last.getBoundingClientRect().right;
      root.style.marginRight = space > 1 ? `${-space}px` : "";
    }
  }
}

document.addEventListener("DOMContentLoaded", () => {
  setOnAll(".caption[role='heading']", "aria-level", "2");
  setOnAll(".sidebar-drawer", "aria-label", "All pages");
  setOnAll(".toc-drawer", "aria-label", "This page");
  correctHeadings();
  convertParameters();
  document.fonts.ready.then(tightenRoots);
  makeScrollable();
  addEventListener("resize", makeScrollable);
  document.addEventListener("toggle", makeScrollable, true); // a folded part that opens
});
