/** Elements made from code. Text only ever becomes a text node: nothing here, or anywhere, parses it as HTML. */

const SVG = "http://www.w3.org/2000/svg";

/** `h("button", { class: "quiet", onclick: save }, "Save")`; null and false children are left out. */
export function h(tag, attributes = {}, ...children) {
  return fill(document.createElement(tag), attributes, children);
}

/** The same for SVG. */
export function svg(tag, attributes = {}, ...children) {
  return fill(document.createElementNS(SVG, tag), attributes, children);
}

function fill(element, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else element.setAttribute(name, value === true ? "" : String(value));
  }
  element.append(...children.flat().filter((child) => child !== null && child !== undefined && child !== false));
  return element;
}

/** @param {string} id */
export const byId = (id) => document.getElementById(id);

/** Show a sentence in a notice, or hide it when there is none. */
export function say(notice, text) {
  notice.textContent = text || "";
  notice.hidden = !text;
}
