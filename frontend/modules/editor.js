/** A textarea that behaves like an editor: line numbers, indenting, colours, and a jump to a line. */

import { colourPython } from "./python-colours.js";

const INDENT = "    ";
const COLOURED_CHARACTERS = 60_000; // Above this, plain text: typing must stay light.

export class Editor {
  #text;
  #numbers;
  #colours;
  #lines = 0;
  #marked = new Set();
  #leaving = false; // After Esc, the next Tab moves on instead of indenting.

  /** @param {{ text: HTMLTextAreaElement, numbers: HTMLElement, colours: HTMLElement, onRun: () => void, onChange: () => void }} parts */
  constructor({ text, numbers, colours, onRun, onChange }) {
    this.#text = text;
    this.#numbers = numbers;
    this.#colours = colours;
    text.addEventListener("input", () => {
      this.markLines([]);
      onChange();
    });
    text.addEventListener("scroll", () => this.#follow());
    text.addEventListener("keydown", (event) => this.#onKey(event, onRun));
    new ResizeObserver(() => this.#follow()).observe(text);
    this.#draw();
  }

  get value() {
    return this.#text.value;
  }

  /** Put another text in; Ctrl+Z brings the old one back. */
  replace(text) {
    if (text === this.value) return;
    const focused = document.activeElement;
    this.#text.focus({ preventScroll: true }); // Only what has the focus can be changed undoably.
    this.#text.setSelectionRange(0, this.value.length);
    this.#type(text);
    this.#text.setSelectionRange(0, 0);
    this.#text.scrollTo(0, 0);
    focused?.focus({ preventScroll: true });
    if (focused !== this.#text) this.#text.blur();
  }

  /** Number these lines as faulty, until the text changes. */
  markLines(lines) {
    this.#marked = new Set(lines);
    this.#lines = 0;
    this.#draw();
  }

  /** Select a line and bring it into view. */
  goTo(line) {
    const lines = this.value.split("\n");
    const start = lines.slice(0, line - 1).reduce((sum, each) => sum + each.length + 1, 0);
    this.#text.focus();
    this.#text.setSelectionRange(start, start + (lines[line - 1]?.length ?? 0));
    const height = parseFloat(getComputedStyle(this.#text).lineHeight);
    this.#text.scrollTo({ top: (line - 1) * height - this.#text.clientHeight / 3, left: 0 });
    this.#text.scrollIntoView({ block: "nearest", behavior: "smooth" });
  }

  #onKey(event, onRun) {
    if (event.isComposing) return;
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) {
      event.preventDefault();
      onRun();
    } else if (event.key === "Escape") {
      this.#leaving = true;
      return;
    } else if (event.key === "Tab" && !this.#leaving && !event.ctrlKey && !event.altKey && !event.metaKey) {
      event.preventDefault();
      if (event.shiftKey) this.#dedent();
      else this.#indent();
    } else if (event.key === "Enter" && !event.shiftKey && !event.altKey) {
      event.preventDefault();
      this.#newLine();
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

  /** Deprecated, and the only way to change a textarea that leaves its undo history alone. */
  #type(text) {
    const done = text ? document.execCommand("insertText", false, text) : document.execCommand("delete");
    if (!done) {
      this.#text.setRangeText(text, this.#text.selectionStart, this.#text.selectionEnd, "end");
      this.#text.dispatchEvent(new Event("input"));
    }
  }

  #draw() {
    const count = this.value.split("\n").length;
    if (count !== this.#lines) {
      this.#lines = count;
      this.#numbers.replaceChildren(...this.#numbered(count));
    }
    if (this.value.length <= COLOURED_CHARACTERS) {
      this.#colours.replaceChildren(...colourPython(this.value), "\n");
      this.#text.classList.add("coloured");
    } else {
      this.#colours.replaceChildren();
      this.#text.classList.remove("coloured");
    }
    this.#follow();
  }

  *#numbered(count) {
    for (let line = 1; line <= count; line += 1) {
      if (this.#marked.has(line)) {
        const mark = document.createElement("b");
        mark.textContent = String(line);
        yield mark;
      } else {
        yield String(line);
      }
      yield "\n";
    }
  }

  #follow() {
    const { scrollTop, scrollLeft } = this.#text;
    this.#numbers.style.transform = `translateY(${-scrollTop}px)`;
    this.#colours.style.transform = `translate(${-scrollLeft}px, ${-scrollTop}px)`;
  }
}
