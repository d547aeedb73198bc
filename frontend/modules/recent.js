/** The list of one's own submissions, newest first, page by page. */

import { request } from "./api.js";
import { byId, h } from "./dom.js";
import { isFinished } from "./follow.js";
import { statusWord, toneOf } from "./result.js";
import { duration, problemText, t, timeAgo } from "./words.js";

const PAGE = 8;
const ASK_AGAIN_MS = 3000;

export class RecentRuns {
  #items = [];
  #cursor = null;
  #state = "loading"; // loading, failed, then whatever there is.
  #problem = null;
  #shownId = null;
  #onOpen;
  #timer = null;

  /** @param {(id: number) => void} onOpen */
  constructor(onOpen) {
    this.#onOpen = onOpen;
  }

  async load() {
    this.#state = this.#items.length ? "filled" : "loading";
    this.draw();
    try {
      const { data } = await request("GET", `/api/submissions?limit=${PAGE}`);
      this.#items = data.items;
      this.#cursor = data.next_cursor;
      this.#state = "filled";
    } catch (problem) {
      this.#state = "failed";
      this.#problem = problem;
    }
    this.draw();
  }

  /** Bring one row up to date, or put it on top when it is new. */
  update(submission) {
    const { id, status, created_at, run_time } = submission;
    const row = { id, status, created_at, run_time };
    const at = this.#items.findIndex((each) => each.id === id);
    if (at >= 0) this.#items[at] = { ...this.#items[at], ...row };
    else if (!this.#items.length || id > this.#items[0].id) this.#items.unshift(row);
    this.draw();
  }

  markShown(id) {
    this.#shownId = id;
    this.draw();
  }

  clear() {
    clearTimeout(this.#timer);
    this.#items = [];
    this.#cursor = null;
    this.#shownId = null;
  }

  draw() {
    byId("recent").replaceChildren(...this.#rows());
    clearTimeout(this.#timer);
    // The one on show is followed anyway; of the others we ask, now and then, as long as one is under way.
    if (this.#items.some((item) => item.id !== this.#shownId && !isFinished(item))) {
      this.#timer = setTimeout(() => this.#update(), ASK_AGAIN_MS);
    }
  }

  async #update() {
    try {
      const { data } = await request("GET", `/api/submissions?limit=${PAGE}`);
      const fresh = new Map(data.items.map((item) => [item.id, item]));
      this.#items = this.#items.map((item) => fresh.get(item.id) ?? item);
    } catch {
      // Only a convenience: the next round asks again.
    }
    this.draw();
  }

  #rows() {
    if (this.#state === "loading") return [h("p", { class: "hint" }, t("loading"))];
    if (this.#state === "failed") {
      return [
        h("p", { class: "notice bad" }, t("recentFailed"), " ", problemText(this.#problem)),
        h("button", { type: "button", class: "quiet", onclick: () => this.load() }, t("tryAgain")),
      ];
    }
    if (!this.#items.length) return [h("p", { class: "hint" }, t("recentEmpty"))];
    return [
      h("ul", { class: "runs" }, this.#items.map((item) => h("li", {}, this.#row(item)))),
      this.#cursor && h("button", { type: "button", class: "quiet", onclick: () => this.#more() }, t("more")),
    ].filter(Boolean);
  }

  #row({ id, status, created_at, run_time }) {
    return h(
      "button",
      {
        type: "button",
        class: `run ${toneOf(status)}`,
        "aria-label": t("openRun", { id, status: statusWord(status) }),
        "aria-current": id === this.#shownId ? "true" : null,
        onclick: () => this.#onOpen(id),
      },
      h("span", { class: "dot", "aria-hidden": "true" }),
      h("span", { class: "run-status" }, statusWord(status)),
      h("span", { class: "run-id" }, `#${id}`),
      h(
        "span",
        { class: "run-about" },
        [timeAgo(created_at), typeof run_time === "number" && duration(run_time)].filter(Boolean).join(" · "),
      ),
    );
  }

  async #more() {
    try {
      const cursor = encodeURIComponent(this.#cursor);
      const { data } = await request("GET", `/api/submissions?limit=${PAGE}&cursor=${cursor}`);
      this.#items.push(...data.items);
      this.#cursor = data.next_cursor;
    } catch (problem) {
      this.#state = "failed";
      this.#problem = problem;
    }
    this.draw();
  }
}
