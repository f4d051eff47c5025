// Construction of elements. No text is ever parsed as HTML: it becomes the text of a node.

/**
 * Create an HTML element. A property that is null is left out.
 * @template {keyof HTMLElementTagNameMap} Name
 * @param {Name} name
 * @param {Record<string, string | number | boolean | null>} [attributes]
 * @param {...(Node | string)} children
 * @returns {HTMLElementTagNameMap[Name]}
 */
function element(name, attributes = {}, ...children) {
  const created = document.createElement(name);
  setAttributes(created, attributes);
  created.append(...children);
  return created;
}

/**
 * @param {Element} target
 * @param {Record<string, string | number | boolean | null>} attributes - false and null remove the attribute.
 */
function setAttributes(target, attributes) {
  for (const [attribute, value] of Object.entries(attributes)) {
    if (value === null || value === false) {
      target.removeAttribute(attribute);
    } else {
      target.setAttribute(attribute, value === true ? "" : String(value));
    }
  }
}

/**
 * Return the element of the template that has an id.
 * @param {string} id
 */
function byId(id) {
  return /** @type {HTMLElement} */ (document.getElementById(id));
}

/**
 * Create a MathML element.
 * @param {string} name
 * @param {...(Element | string)} children
 */
function math(name, ...children) {
  const created = /** @type {MathMLElement} */ (document.createElementNS("http://www.w3.org/1998/Math/MathML", name));
  created.append(...children);
  return created;
}

/**
 * Create the MathML elements of a formula that Python converted from LaTeX.
 * @param {MathTree} tree
 * @returns {Element}
 */
function mathFromTree([name, { style = "", ...attributes }, children]) {
  const created = math(name, ...children.map((child) => (typeof child === "string" ? child : mathFromTree(child))));
  setAttributes(created, attributes);
  created.style.cssText = style; // the policy of the page allows no attribute `style`
  return created;
}
