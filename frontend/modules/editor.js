/** A textarea that behaves like an editor: line numbers, indenting, colours, and a jump to a line. */

import { h } from "./dom.js";
import { pythonWords } from "./python-colours.js";

const INDENT = "    ";
const UNDOABLE_LINES = 60; // The browser's own undoable insertion takes seconds for hundreds of lines.
const COLOURED_CHARACTERS = 150_000;
const MARGIN_LINES = 30; // Drawn above and below what is seen, so that scrolling does not run ahead of us.

export class Editor {
  #text;
  #numbers;
  #colours;
  #marked = new Set();
  #words = []; // Of the whole text, in order.
  #lineStarts = [0];
  #drawnText = null;
  #frame = 0;
  #replaced = null; // { by, before }: what Ctrl+Z brings back.
  #leaving = false; // After Esc, the next Tab moves on instead of indenting.

  /** @param {{ text: HTMLTextAreaElement, numbers: HTMLElement, colours: HTMLElement, onRun: () => void, onChange: () => void }} parts */
  constructor({ text, numbers, colours, onRun, onChange }) {
    this.#text = text;
    this.#numbers = numbers;
    this.#colours = colours;
    text.addEventListener("input", () => {
      this.#marked.clear(); // The lines have moved: it is another text now.
      this.#drawSoon();
      onChange();
    });
    text.addEventListener("scroll", () => this.#drawSoon());
    text.addEventListener("keydown", (event) => this.#onKey(event, onRun));
    new ResizeObserver(() => this.#drawSoon()).observe(text);
  }

  get value() {
    return this.#text.value;
  }

  /** Put another text in; Ctrl+Z brings the old one back. */
  replace(text) {
    if (text === this.value) return;
    const before = this.value;
    this.#text.value = text;
    this.#text.setSelectionRange(0, 0);
    this.#text.scrollTo(0, 0);
    this.#text.dispatchEvent(new Event("input"));
    this.#replaced = { by: text, before };
  }

  /** Number these lines as faulty, until the text changes. */
  markLines(lines) {
    this.#marked = new Set(lines);
    this.#drawSoon();
  }

  /** Select a line and bring it into view. */
  goTo(line) {
    const lines = this.value.split("\n");
    const start = lines.slice(0, line - 1).reduce((sum, each) => sum + each.length + 1, 0);
    this.#text.focus();
    this.#text.setSelectionRange(start, start + (lines[line - 1]?.length ?? 0));
    this.#text.scrollTo({ top: (line - 1) * this.#lineHeight() - this.#text.clientHeight / 3, left: 0 });
    this.#text.scrollIntoView({ block: "nearest", behavior: "smooth" });
  }

  // Keys -------------------------------------------------------------------------------------

  #onKey(event, onRun) {
    if (event.isComposing) return;
    const command = event.ctrlKey || event.metaKey;
    if (event.key === "Enter" && command) {
      event.preventDefault();
      onRun();
    } else if (event.key === "Escape") {
      this.#leaving = true;
      return;
    } else if (event.key === "Tab" && !this.#leaving && !command && !event.altKey) {
      event.preventDefault();
      if (event.shiftKey) this.#dedent();
      else this.#indent();
    } else if (event.key === "Enter" && !event.shiftKey && !event.altKey) {
      event.preventDefault();
      this.#newLine();
    } else if (event.code === "KeyZ" && command && !event.shiftKey && this.#replaced?.by === this.value) {
      event.preventDefault();
      this.replace(this.#replaced.before);
    }
    if (event.key !== "Shift") this.#leaving = false;
  }

  #indent() {
    const { selectionStart, selectionEnd } = this.#text;
    if (!this.value.slice(selectionStart, selectionEnd).includes("\n")) {
      const column = selectionStart - this.#lineStart(selectionStart);
      this.#type(" ".repeat(INDENT.length - (column % INDENT.length)));
    } else {
      this.#changeSelectedLines((line) => (line ? INDENT + line : line));
    }
  }

  #dedent() {
    this.#changeSelectedLines((line) => line.replace(/^( {1,4}|\t)/, ""));
  }

  #newLine() {
    const before = this.value.slice(this.#lineStart(this.#text.selectionStart), this.#text.selectionStart);
    const indent = before.match(/^[ \t]*/)[0];
    this.#type(`\n${indent}${/:\s*(#.*)?$/.test(before) ? INDENT : ""}`);
  }

  #changeSelectedLines(change) {
    const start = this.#lineStart(this.#text.selectionStart);
    const end = this.#text.selectionEnd;
    const changed = this.value.slice(start, end).split("\n").map(change).join("\n");
    this.#text.setSelectionRange(start, end);
    this.#type(changed);
    this.#text.setSelectionRange(start, start + changed.length);
  }

  #lineStart(position) {
    return this.value.lastIndexOf("\n", position - 1) + 1;
  }

  /** execCommand is deprecated, and the only way to change a textarea that leaves its undo history alone. */
  #type(text) {
    const isShort = text.split("\n").length <= UNDOABLE_LINES;
    if (isShort && (text ? document.execCommand("insertText", false, text) : document.execCommand("delete"))) return;
    this.#text.setRangeText(text, this.#text.selectionStart, this.#text.selectionEnd, "end");
    this.#text.dispatchEvent(new Event("input"));
  }

  // Drawing: only the lines that are seen, once per frame ---------------------------------------

  #drawSoon() {
    this.#frame ||= requestAnimationFrame(() => {
      this.#frame = 0;
      this.#draw();
    });
  }

  #draw() {
    this.#read();
    const height = this.#lineHeight();
    const { scrollTop, scrollLeft, clientHeight } = this.#text;
    const count = this.#lineStarts.length;
    const first = Math.min(count - 1, Math.max(0, Math.floor(scrollTop / height) - MARGIN_LINES));
    const last = Math.min(count, Math.ceil((scrollTop + clientHeight) / height) + MARGIN_LINES);
    const top = first * height - scrollTop;
    this.#numbers.style.minWidth = `calc(${Math.max(2, String(count).length)}ch + 1.6rem)`;
    this.#numbers.replaceChildren(...this.#numbered(first + 1, last));
    this.#numbers.style.transform = `translateY(${top}px)`;
    const isColoured = this.value.length <= COLOURED_CHARACTERS;
    this.#text.classList.toggle("coloured", isColoured);
    this.#colours.replaceChildren(...(isColoured ? this.#coloured(first, last) : []));
    this.#colours.style.transform = `translate(${-scrollLeft}px, ${top}px)`;
  }

  /** Find words and lines anew, when the text is another one than last time. */
  #read() {
    const text = this.value;
    if (text === this.#drawnText) return;
    this.#drawnText = text;
    this.#words = text.length <= COLOURED_CHARACTERS ? [...pythonWords(text)] : [];
    this.#lineStarts = [0];
    for (let at = text.indexOf("\n"); at >= 0; at = text.indexOf("\n", at + 1)) this.#lineStarts.push(at + 1);
  }

  *#numbered(from, to) {
    for (let line = from; line <= to; line += 1) {
      yield this.#marked.has(line) ? h("b", {}, String(line)) : String(line);
      yield "\n";
    }
  }

  /** The text of some lines, as strings and coloured spans. */
  *#coloured(first, last) {
    const text = this.#drawnText;
    const end = this.#lineStarts[last] ?? text.length;
    let done = this.#lineStarts[first];
    for (const { start, stop, kind } of this.#words) {
      if (stop <= done) continue;
      if (start >= end) break;
      const from = Math.max(start, done); // A long string may have begun above.
      if (from > done) yield text.slice(done, from);
      done = Math.min(stop, end);
      yield h("span", { class: `py-${kind}` }, text.slice(from, done));
    }
    yield `${text.slice(done, end)}\n`;
  }

  #lineHeight() {
    return parseFloat(getComputedStyle(this.#text).lineHeight);
  }
}
