/** The page: who is here, what they write, and what comes back. */

import * as api from "./modules/api.js";
import { byId, h, say } from "./modules/dom.js";
import { Editor } from "./modules/editor.js";
import { EXAMPLES } from "./modules/examples.js";
import { follow, isFinished } from "./modules/follow.js";
import { RecentRuns } from "./modules/recent.js";
import { drawNothingYet, drawResult, drawSending, faultyLines, statusWord } from "./modules/result.js";
import { recall, remember } from "./modules/storage.js";
import * as words from "./modules/words.js";

const { t } = words;
const NOTABLE_PACKAGES = new Set(["marimo", "numpy", "pandas", "matplotlib", "altair"]);

let shown = null; // The submission in the result's place.
let sending = false; // The next one is on its way to the server.
let trouble = false; // Asking for it fails just now.
let following = new AbortController();
let platform = { languages: [], limits: null };

const recent = new RecentRuns(open);
const editor = new Editor({
  text: byId("source"),
  numbers: byId("line-numbers"),
  colours: byId("colours"),
  onRun: run,
  onChange: () => remember("draft", editor.value),
});

// Coming and going -------------------------------------------------------------------------------

async function start() {
  words.translatePage();
  words.whenLanguageChanges(drawAll);
  api.whenSignedOut(() => welcome(t("sessionEnded")));
  try {
    const user = await api.resume();
    if (user) enter(user);
    else welcome();
  } catch (problem) {
    welcome(words.problemText(problem));
  }
}

function welcome(notice = "") {
  stopFollowing();
  recent.clear();
  shown = null;
  byId("workshop").hidden = byId("who").hidden = true;
  byId("welcome").hidden = false;
  say(byId("account-notice"), notice);
  chooseTab("log-in");
}

function enter(user) {
  byId("welcome").hidden = true;
  byId("workshop").hidden = byId("who").hidden = false;
  byId("who-name").textContent = user.name || user.login;
  for (const form of document.forms) form.reset();
  if (!editor.value) editor.replace(recall("draft") || EXAMPLES[0].source);
  drawAll();
  // Where a keyboard is at hand; elsewhere the screen's own would jump up and cover half of the page.
  if (matchMedia("(hover: hover)").matches) byId("source").focus({ preventScroll: true });
  recent.load();
  loadPlatform();
}

function chooseTab(chosen) {
  for (const name of ["log-in", "register"]) {
    const isChosen = name === chosen;
    byId(name).hidden = !isChosen;
    byId(`tab-${name}`).setAttribute("aria-selected", String(isChosen));
    byId(`tab-${name}`).tabIndex = isChosen ? 0 : -1;
    clearComplaints(byId(name));
  }
}

async function submitAccount(form, act) {
  const fields = Object.fromEntries(new FormData(form));
  clearComplaints(form);
  const missing = Object.keys(fields).filter((name) => !fields[name].trim());
  for (const name of missing) complain(form.elements[name], t("fillIn"));
  if (missing.length) return form.elements[missing[0]].focus();
  const button = form.querySelector("button");
  button.disabled = true;
  try {
    enter(await act(fields));
  } catch (problem) {
    showFormProblem(form, problem);
  } finally {
    button.disabled = false;
  }
}

function showFormProblem(form, problem) {
  if (!(problem instanceof api.Problem)) throw problem;
  const placed = problem.errors.filter(({ pointer, message }) => {
    const field = form.elements[pointer?.slice(1)];
    if (field) complain(field, words.fieldText(message));
    return Boolean(field);
  });
  // What stands beside its field need not be said twice.
  say(form.querySelector(".notice"), placed.length ? "" : words.problemText(problem));
  const field = placed.length ? form.elements[placed[0].pointer.slice(1)] : form.elements.password;
  field.focus();
  field.select();
}

function complain(field, message) {
  const note = h("em", { id: `${field.form.id}-${field.name}-fault`, class: "fault" }, message);
  field.after(note);
  field.setAttribute("aria-invalid", "true");
  field.setAttribute("aria-describedby", note.id);
}

function clearComplaints(form) {
  say(form.querySelector(".notice"), "");
  for (const note of form.querySelectorAll(".fault")) note.remove();
  for (const field of form.elements) {
    field.removeAttribute("aria-invalid");
    field.removeAttribute("aria-describedby");
  }
}

async function leave() {
  let notice = "";
  try {
    await api.logOut();
  } catch (problem) {
    notice = words.problemText(problem);
  }
  editor.replace("");
  byId("stdin").value = "";
  remember("draft", null); // Perhaps the next person at this computer is somebody else.
  welcome(notice);
}

// Running ----------------------------------------------------------------------------------------

async function run() {
  say(byId("run-problem"), "");
  if (!editor.value.trim()) return say(byId("run-problem"), t("noCode"));
  const button = byId("run");
  if (button.disabled) return;
  button.disabled = sending = true;
  stopFollowing();
  drawShown();
  try {
    const order = { source: editor.value, language: byId("language").value || "python" };
    if (byId("stdin").value) order.stdin = byId("stdin").value;
    const submission = await submit(order);
    sending = false;
    show(submission, { announce: true });
    if (narrow.matches) byId("result").scrollIntoView({ behavior: "smooth", block: "start" });
    watch(shown.id);
  } catch (problem) {
    sending = false;
    drawShown(); // What was there before.
    showRunProblem(problem);
  } finally {
    button.disabled = false;
  }
}

/** One press of the button is one run, even when the first answer is lost on the way and we ask twice. */
async function submit(order) {
  const headers = { "Idempotency-Key": randomKey() };
  const ask = async () => (await api.request("POST", "/api/submissions", { body: order, headers })).data;
  try {
    return await ask();
  } catch (problem) {
    if (problem.code !== "network") throw problem;
    return ask();
  }
}

/** Watch a submission until it is final. Only one is watched at a time. */
async function watch(id) {
  stopFollowing();
  following = new AbortController();
  const { signal } = following;
  try {
    await follow(id, {
      signal,
      onChange: (submission) => !signal.aborted && show(submission, { announce: true }),
      onTrouble: (problem) => {
        trouble = Boolean(problem);
        drawShown();
      },
    });
  } catch (problem) {
    if (!signal.aborted) showRunProblem(problem);
  }
}

function stopFollowing() {
  following.abort();
  trouble = false;
}

/** Open a former run: its code, its input, its result. */
async function open(id) {
  stopFollowing();
  say(byId("run-problem"), "");
  try {
    const { data } = await api.request("GET", `/api/submissions/${id}`);
    editor.replace(data.source);
    byId("stdin").value = data.stdin ?? "";
    byId("stdin-box").open = Boolean(data.stdin);
    show(data);
    if (narrow.matches) byId("result").scrollIntoView({ behavior: "smooth", block: "start" });
    if (!isFinished(data)) watch(id);
  } catch (problem) {
    showRunProblem(problem);
  }
}

async function cancel() {
  try {
    const { data } = await api.request("POST", `/api/submissions/${shown.id}/cancel`, { body: {} });
    show(data, { announce: true });
  } catch (problem) {
    if (problem.status !== 409) showRunProblem(problem); // It ended just before: its result is on its way.
  }
}

function show(submission, { announce = false } = {}) {
  const isNews = submission.status !== shown?.status || submission.id !== shown?.id;
  shown = submission;
  trouble = false;
  if (submission.source === editor.value) editor.markLines(faultyLines(submission));
  recent.update(submission);
  recent.markShown(submission.id);
  drawShown();
  if (announce && isNews) byId("announcer").textContent = statusWord(submission.status);
}

function showRunProblem(problem) {
  if (!(problem instanceof api.Problem)) throw problem;
  if (problem.status === 401) return; // The welcome page says so.
  const places = problem.errors.map(({ message }) => message).join(" ");
  say(byId("run-problem"), [words.problemText(problem), places].filter(Boolean).join(" "));
}

function randomKey() {
  return Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(16).padStart(2, "0")).join("");
}

// Drawing ----------------------------------------------------------------------------------------

const narrow = matchMedia("(max-width: 959px)");

function drawAll() {
  drawExamples();
  drawShown();
  drawPlatform();
  recent.draw();
}

function drawShown() {
  const actions = { cancel, trouble, goToLine: (line) => editor.goTo(line) };
  const drawn = sending ? drawSending() : shown ? drawResult(shown, actions) : drawNothingYet();
  byId("result").replaceChildren(...drawn);
}

function drawExamples() {
  byId("example").replaceChildren(
    h("option", { value: "" }, t("exampleChoose")),
    ...EXAMPLES.map(({ label }, index) => h("option", { value: index }, t(label))),
  );
}

function useExample(index) {
  const { source, stdin } = EXAMPLES[index];
  editor.replace(source);
  byId("stdin").value = stdin;
  byId("stdin-box").open = Boolean(stdin);
  byId("example").value = "";
}

/** What can be written here, and how far a run may go. Only a hint: without it the page works all the same. */
async function loadPlatform() {
  const [languages, limits] = await Promise.allSettled([
    api.request("GET", "/api/languages"),
    api.request("GET", "/api/limits"),
  ]);
  platform = {
    languages: languages.value?.data.items.filter((language) => language.available) ?? [],
    limits: limits.value?.data ?? null,
  };
  drawPlatform();
}

function drawPlatform() {
  const { languages, limits } = platform;
  const chosen = byId("language").value;
  byId("language").replaceChildren(...languages.map(({ id, label }) => h("option", { value: id }, label ?? id)));
  if (languages.some(({ id }) => id === chosen)) byId("language").value = chosen;
  byId("language-choice").hidden = languages.length < 2;
  const language = languages.find(({ id }) => id === byId("language").value);
  const packages = (language?.packages ?? [])
    .filter(({ name }) => NOTABLE_PACKAGES.has(name))
    .map(({ name, version }) => `${name} ${version}`)
    .join(", ");
  const name = language && [language.label ?? language.id, language.version].filter(Boolean).join(" ");
  byId("environment").textContent = [
    name && `${name}${packages ? ` · ${packages}` : ""}.`,
    limits && t("limits", { cpu: words.duration(limits.cpu_ms), memory: words.memory(limits.memory_kib) }),
  ]
    .filter(Boolean)
    .join(" ");
}

// Wiring -----------------------------------------------------------------------------------------

byId("log-in").addEventListener("submit", (event) => {
  event.preventDefault();
  submitAccount(event.target, ({ login, password }) => api.logIn(login.trim(), password));
});
byId("register").addEventListener("submit", (event) => {
  event.preventDefault();
  submitAccount(event.target, async ({ login, email, name, password }) => {
    await api.register({ login: login.trim(), email: email.trim(), name: name.trim(), password });
    return api.logIn(login.trim(), password);
  });
});
for (const name of ["log-in", "register"]) {
  const tab = byId(`tab-${name}`);
  tab.addEventListener("click", () => chooseTab(name));
  tab.addEventListener("keydown", ({ key }) => {
    if (key !== "ArrowLeft" && key !== "ArrowRight") return;
    const other = name === "log-in" ? "register" : "log-in";
    chooseTab(other);
    byId(`tab-${other}`).focus();
  });
}
for (const button of document.querySelectorAll("[data-language]")) {
  button.addEventListener("click", () => words.setLanguage(button.dataset.language));
}
byId("log-out").addEventListener("click", leave);
byId("run").addEventListener("click", run);
byId("example").addEventListener("change", (event) => event.target.value && useExample(Number(event.target.value)));
byId("language").addEventListener("change", drawPlatform);
byId("stdin").addEventListener("keydown", (event) => {
  if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) run();
});

start();
