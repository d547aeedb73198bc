/** The dependency graph of a notebook as a small drawing: cells in layers, what they need above them. */

import { svg } from "./dom.js";
import { t } from "./words.js";

const NODE = { width: 116, height: 30 };
const GAP = { x: 18, y: 30 };
const LABEL_CHARACTERS = 15;

/**
 * @param {{ id: string, label: string, status: string }[]} cells
 * @param {[string, string][]} edges
 * @param {(id: string) => void} onPick
 */
export function drawGraph(cells, edges, onPick) {
  const known = new Set(cells.map((cell) => cell.id));
  const links = edges.filter(([from, to]) => known.has(from) && known.has(to) && from !== to);
  const places = place(layers(cells, links));
  const width = Math.max(...[...places.values()].map(({ x }) => x)) + NODE.width + 2;
  const height = Math.max(...[...places.values()].map(({ y }) => y)) + NODE.height + 2;
  return svg(
    "svg",
    {
      class: "graph",
      width,
      height,
      viewBox: `-1 -1 ${width} ${height}`,
      role: "group",
      "aria-label": `${t("graph")}. ${t("graphText", { cells: cells.length, edges: links.length })}`,
    },
    links.map(([from, to]) => edge(places.get(from), places.get(to))),
    cells.map((cell) => node(cell, places.get(cell.id), onPick)),
  );
}

/** Each cell one layer below the lowest it needs. A cycle cannot be layered: its cells stay where they are. */
function layers(cells, links) {
  const depth = new Map(cells.map((cell) => [cell.id, 0]));
  for (let round = 0; round < cells.length; round += 1) {
    let moved = false;
    for (const [from, to] of links) {
      if (depth.get(to) <= depth.get(from) && depth.get(from) + 1 < cells.length) {
        depth.set(to, depth.get(from) + 1);
        moved = true;
      }
    }
    if (!moved) break;
  }
  const rows = [];
  for (const cell of cells) (rows[depth.get(cell.id)] ??= []).push(cell);
  return rows.filter(Boolean);
}

function place(rows) {
  const widest = Math.max(...rows.map((row) => row.length));
  const places = new Map();
  rows.forEach((row, layer) => {
    const indent = ((widest - row.length) * (NODE.width + GAP.x)) / 2;
    row.forEach((cell, column) => {
      places.set(cell.id, { x: indent + column * (NODE.width + GAP.x), y: layer * (NODE.height + GAP.y) });
    });
  });
  return places;
}

function edge(from, to) {
  const [x1, y1] = [from.x + NODE.width / 2, from.y + NODE.height];
  const [x2, y2] = [to.x + NODE.width / 2, to.y];
  const bend = Math.max(14, Math.abs(y2 - y1) / 2);
  return svg("path", { class: "edge", d: `M${x1} ${y1}C${x1} ${y1 + bend} ${x2} ${y2 - bend} ${x2} ${y2}` });
}

function node(cell, { x, y }, onPick) {
  const label = cell.label.length > LABEL_CHARACTERS ? `${cell.label.slice(0, LABEL_CHARACTERS - 1)}…` : cell.label;
  const pick = (event) => {
    if (event.type === "keydown" && event.key !== "Enter" && event.key !== " ") return;
    event.preventDefault();
    onPick(cell.id);
  };
  return svg(
    "g",
    {
      class: `node ${cell.status}`,
      transform: `translate(${x} ${y})`,
      role: "link",
      tabindex: 0,
      "aria-label": cell.label,
      onclick: pick,
      onkeydown: pick,
    },
    svg("title", {}, cell.label),
    svg("rect", { width: NODE.width, height: NODE.height, rx: 8 }),
    svg("text", { x: NODE.width / 2, y: NODE.height / 2 }, label),
  );
}
