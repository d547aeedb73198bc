/**
 * One output of a cell. It comes from somebody's program: text becomes text, pictures become pictures,
 * and HTML is shown only inside a frame that may do nothing: no script, no form, no link out, no request.
 */

import { h } from "./dom.js";
import { t } from "./words.js";

const PICTURE = /^data:image\/[\w.+-]+[;,]/i;
// Best first, of those a bundle may offer for the same thing.
const PREFERRED = ["image/svg+xml", "image/png", "image/jpeg", "image/gif", "image/webp"];
const MAX_HEIGHT = 440;
const FRAME_STYLE = `
  :root { color-scheme: light dark; font: 14px/1.5 system-ui, sans-serif }
  body { margin: 2px; overflow-wrap: anywhere }
  h1 { font-size: 1.5em } h2 { font-size: 1.25em } h3, h4, h5, h6 { font-size: 1.05em }
  h1, h2, h3, h4, h5, h6 { margin: .4em 0; line-height: 1.3 }
  p, ul, ol, .paragraph { display: block; margin: .4em 0 }
  table { border-collapse: collapse; font-size: 13px }
  th, td { border: 1px solid #8884; padding: 3px 10px; text-align: right }
  th { background: #8881 }
  pre, code { font-family: ui-monospace, monospace }
  pre { margin: 0; white-space: pre-wrap }
  img, svg { max-width: 100%; height: auto }
`;

/** The output as an element, or null when there is nothing to see. */
export function drawOutput({ mimetype, data }, cellLabel) {
  if (data === null || data === undefined || data === "") return null;
  if (mimetype === "application/vnd.marimo+mimebundle") return drawBundle(data, cellLabel);
  if (mimetype === "application/vnd.marimo+error") return null; // The cell's own error says it better.
  if (mimetype.startsWith("image/")) return drawPicture(mimetype, String(data), cellLabel);
  if (mimetype === "text/html" || mimetype === "text/markdown") return drawFrame(String(data), cellLabel);
  if (mimetype.startsWith("text/")) return h("pre", { class: "text-output" }, String(data));
  const label = mimetype.includes("vega") ? "chartData" : "outputOfType";
  return h(
    "details",
    { class: "data-output" },
    h("summary", {}, t(label, { type: mimetype })),
    h("pre", {}, readable(data)),
  );
}

function drawBundle(data, cellLabel) {
  const bundle = typeof data === "string" ? parsed(data) : data;
  if (typeof bundle !== "object" || bundle === null) return h("pre", {}, String(data));
  const offered = Object.keys(bundle).filter((name) => name.includes("/") && !name.startsWith("__"));
  const best = PREFERRED.find((name) => offered.includes(name)) ?? offered.find((name) => name !== "text/plain");
  const chosen = best ?? offered[0];
  return chosen ? drawOutput({ mimetype: chosen, data: bundle[chosen] }, cellLabel) : null;
}

function drawPicture(mimetype, data, cellLabel) {
  let source = data;
  if (!PICTURE.test(data)) {
    const isMarkup = mimetype.startsWith("image/svg") && data.trimStart().startsWith("<");
    source = isMarkup ? `data:image/svg+xml,${encodeURIComponent(data)}` : `data:${mimetype};base64,${data}`;
  }
  // Inside <img>, an SVG runs no script and loads nothing.
  return h("img", { class: "picture", src: source, alt: t("plotOf", { cell: cellLabel }), loading: "lazy" });
}

function drawFrame(html, cellLabel) {
  const frame = h("iframe", {
    class: "html-output",
    sandbox: "", // The empty list: everything is forbidden. It must be there before the content.
    title: t("htmlOf", { cell: cellLabel }),
    referrerpolicy: "no-referrer",
    loading: "lazy",
  });
  frame.srcdoc = `<!doctype html><meta charset="utf-8"><style>${FRAME_STYLE}</style>${html}`;
  const box = h("div", { class: "html-box" }, frame);
  box.style.height = `${guessHeight(html)}px`;
  return box;
}

/** A closed frame does not tell its height. It is guessed from a document that is never shown and runs nothing. */
function guessHeight(html) {
  const { body } = new DOMParser().parseFromString(html, "text/html");
  const inALine = window.innerWidth < 720 ? 40 : 75;
  const linesOf = (text) =>
    text.split("\n").reduce((sum, line) => sum + Math.max(1, Math.ceil(line.trim().length / inALine)), 0);
  const rows = body.querySelectorAll("tr").length;
  const pictures = body.querySelectorAll("img, svg, video, canvas").length;
  const blocks = [...body.querySelectorAll("h1, h2, h3, h4, h5, h6, p, li, pre, blockquote, .paragraph")].filter(
    (block) => !block.closest("tr"),
  );
  let height = 8 + rows * 28 + pictures * 240;
  for (const block of blocks) height += linesOf(block.textContent) * 22 + (/^H/.test(block.tagName) ? 22 : 8);
  if (!rows && !blocks.length) height += linesOf(body.textContent.trim()) * 22;
  return Math.min(MAX_HEIGHT, Math.max(36, height));
}

function readable(data) {
  const value = typeof data === "string" ? parsed(data) : data;
  return typeof value === "string" ? value : JSON.stringify(value, null, 2);
}

function parsed(text) {
  try {
    return JSON.parse(text);
  } catch {
    return text;
  }
}
