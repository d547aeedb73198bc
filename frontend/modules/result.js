/** A submission as a person reads it: how it ended, what it cost, and what each cell did. */

import { h } from "./dom.js";
import { isFinished } from "./follow.js";
import { drawGraph } from "./graph.js";
import { drawOutput } from "./outputs.js";
import { duration, lookUp, memory, t, timeAgo, wordFor } from "./words.js";

const TONES = {
  queued: "waiting",
  running: "waiting",
  completed: "good",
  accepted: "good",
  partial: "mixed",
  cancelled: "neutral",
};
const NAMELESS = new Set(["", "_", "__"]);

/** good, bad, mixed, neutral or waiting: the colour of a status. A status we never heard of is bad news. */
export const toneOf = (status) => TONES[status] ?? "bad";

export const statusWord = (status) => wordFor("status", status);

/** Every line of the source an error points at. */
export function faultyLines(submission) {
  const failed = (submission.cells ?? []).filter(isAtFault);
  const errors = [submission.error, ...failed.map((cell) => cell.error)];
  return errors.filter((error) => error?.line).map((error) => error.line);
}

/** Whether a cell's error is its own: one that was never reached only says why. */
const isAtFault = ({ status }) => status === "error" || status === "interrupted";

/**
 * @param {object} submission
 * @param {{ goToLine: (line: number) => void, cancel: () => void, trouble: boolean }} actions
 */
export function drawResult(submission, actions) {
  const cells = submission.cells ?? [];
  const labels = new Map(cells.map((cell, index) => [cell.id, labelOf(cell, index, cells.length)]));
  const ownError = submission.error && !cells.some(isAtFault) ? submission.error : null;
  const showStreams = cells.every((cell) => !cell.console?.length);
  return [
    drawSummary(submission, actions),
    ownError && h("div", { class: "card" }, drawError(ownError, actions)),
    showStreams && drawStreams(submission),
    cells.length > 1 && drawGraphCard(submission, cells, labels),
    ...cells.map((cell) => drawCell(cell, labels.get(cell.id), actions)),
  ].filter(Boolean);
}

/** What stands in the result's place before anything ran. */
export function drawNothingYet() {
  return [
    h(
      "div",
      { class: "card empty" },
      h("p", { class: "empty-title" }, t("nothingYet")),
      h("p", {}, t("nothingYetText")),
    ),
  ];
}

/** What stands there between the press of the button and the server's answer. */
export function drawSending() {
  return [h("div", { class: "card summary waiting" }, drawStatus(t("submitting")))];
}

function drawSummary(submission, { cancel, trouble }) {
  const { status } = submission;
  const isNotebook = submission.cells?.length > 1;
  const figures = [
    [t("cpuTime"), submission.run_time, duration],
    [t("wallTime"), submission.wall_time, duration],
    [t("memory"), submission.memory_used, memory],
  ].filter(([, value]) => value !== null && value !== undefined);
  const about = (isNotebook && lookUp(`about.${status}.notebook`)) || lookUp(`about.${status}`);
  return h(
    "div",
    { class: `card summary ${toneOf(status)}` },
    h(
      "div",
      { class: "summary-head" },
      drawStatus(statusWord(status)),
      !isFinished(submission) && h("button", { type: "button", class: "quiet", onclick: cancel }, t("cancel")),
    ),
    (trouble || about) && h("p", { class: "about" }, trouble ? t("connectionLost") : about),
    figures.length > 0 &&
      h(
        "dl",
        { class: "figures" },
        figures.map(([name, value, format]) => h("div", {}, h("dt", {}, name), h("dd", {}, format(value)))),
        h("div", {}, h("dt", {}, t("ranAt")), h("dd", {}, timeAgo(submission.created_at))),
      ),
  );
}

const drawStatus = (words) => h("p", { class: "status" }, h("span", { class: "dot", "aria-hidden": "true" }), words);

/** The streams of a run whose cells tell nothing of them: it was killed, or never started. */
function drawStreams({ stdout, stderr }) {
  const parts = [
    stdout && h("span", {}, stdout),
    stderr && h("span", { class: "stderr", title: t("errorStream") }, stderr),
  ].filter(Boolean);
  return parts.length > 0 && h("div", { class: "card" }, h("h3", {}, t("output")), h("pre", { class: "console" }, parts));
}

function drawGraphCard(submission, cells, labels) {
  const nodes = cells.map((cell) => ({ id: cell.id, label: labels.get(cell.id), status: cell.status }));
  const pick = (id) => {
    const card = document.getElementById(cardId(id));
    card.scrollIntoView({ behavior: "smooth", block: "center" });
    card.focus({ preventScroll: true });
  };
  return h(
    "details",
    { class: "card graph-card", open: cells.length <= 12 },
    h("summary", {}, t("graph")),
    h("div", { class: "graph-scroll" }, drawGraph(nodes, submission.graph?.edges ?? [], pick)),
  );
}

function drawCell(cell, label, actions) {
  const outputs = (cell.outputs ?? []).map((output) => drawOutput(output, label)).filter(Boolean);
  const isSilent = !outputs.length && !cell.console?.length && !cell.error;
  return h(
    "article",
    { class: `card cell ${cell.status}`, id: cardId(cell.id), tabindex: -1, "aria-label": label },
    h(
      "header",
      {},
      h("h3", {}, label),
      h("span", { class: "chip" }, wordFor("cell", cell.status)),
      cell.line && lineButton(cell.line, actions),
      typeof cell.time_ms === "number" && h("span", { class: "time" }, duration(cell.time_ms)),
    ),
    outputs,
    cell.console?.length > 0 && drawConsole(cell.console),
    cell.error && (isAtFault(cell) ? drawError(cell.error, actions) : h("p", { class: "hint" }, cell.error.message)),
    isSilent && cell.status === "ok" && h("p", { class: "hint" }, t("noOutput")),
    cell.code && h("details", {}, h("summary", {}, t("code")), h("pre", {}, cell.code)),
  );
}

function drawConsole(lines) {
  return h(
    "pre",
    { class: "console" },
    lines.map(({ channel, text }) =>
      channel === "stderr" ? h("span", { class: "stderr", title: t("errorStream") }, text) : text,
    ),
  );
}

function drawError(error, actions) {
  // ZeroDivisionError is part of the sentence; our own words for kinds (syntax, cycle) are not.
  const isException = /^[A-Z]/.test(error.type ?? "");
  const sentence = isException ? [error.type, error.message].filter(Boolean).join(": ") : error.message || error.type;
  return h(
    "div",
    { class: "error" },
    h("p", {}, h("strong", {}, sentence), " ", error.line && lineButton(error.line, actions)),
    error.traceback && h("details", {}, h("summary", {}, t("traceback")), h("pre", {}, error.traceback)),
  );
}

function lineButton(line, { goToLine }) {
  return h(
    "button",
    { type: "button", class: "link", "aria-label": t("goToLine", { line }), onclick: () => goToLine(line) },
    t("line", { line }),
  );
}

function labelOf(cell, index, count) {
  if (cell.name === "setup") return t("setup");
  if (!NAMELESS.has(cell.name ?? "")) return cell.name;
  return count === 1 ? t("program") : t("cell", { number: index + 1 });
}

const cardId = (id) => `cell-${id}`;
