/** The page's words in both languages. Server sentences come in English; those we know by code are said here. */

import { recall, remember } from "./storage.js";

const en = {
  logIn: "Log in",
  logOut: "Log out",
  register: "Register",
  createAccount: "Create account",
  loginOrEmail: "Login or e-mail",
  login: "Login",
  loginHint: "3 to 32 letters, digits, dot, hyphen, underscore",
  email: "E-mail",
  name: "Name",
  password: "Password",
  passwordHint: "10 characters or more",
  fillIn: "Fill this in.",
  sessionEnded: "Your session has ended. Log in again; your code is still here.",
  pitchWrite: "Write code.",
  pitchRun: "Run it.",
  pitchSee: "See every cell.",
  pitchText:
    "Python scripts and marimo notebooks run in a blink, with the output, the errors and the time of each cell.",
  pitchLibraries: "numpy, pandas, matplotlib and altair are there.",
  pitchErrors: "An error takes you to its line.",
  pitchHistory: "Everything you ran stays in your list.",

  writeAndRun: "Write and run",
  yourCode: "Your code",
  example: "Example",
  exampleChoose: "Choose…",
  exampleScript: "A script",
  exampleInput: "A script that reads input",
  exampleNotebook: "A marimo notebook with a plot",
  exampleError: "A notebook with an error",
  programmingLanguage: "Language",
  run: "Run",
  editorHint: "Tab indents. Esc, then Tab leaves the editor.",
  stdin: "Input (stdin)",
  limits: "Limits: {cpu} of CPU time, {memory} of memory.",

  result: "Result",
  nothingYet: "Nothing has run yet",
  nothingYetText: "Press Run, or Ctrl+Enter in the editor. The result appears here.",
  noCode: "There is no code to run yet.",
  submitting: "Sending…",
  connectionLost: "The connection is interrupted. Trying again…",
  cancel: "Cancel",
  cpuTime: "CPU time",
  wallTime: "Total time",
  memory: "Memory",
  ranAt: "Sent",
  noOutput: "No output",
  output: "Output",
  line: "line {line}",
  goToLine: "Go to line {line}",
  traceback: "Traceback",
  cells: "Cells",
  graph: "How the cells depend on each other",
  graphText: "{cells} cells, {edges} links",
  cell: "Cell {number}",
  program: "Program",
  setup: "Setup",
  code: "Code",
  plotOf: "Picture made by {cell}",
  htmlOf: "Output of {cell}",
  chartData: "Chart as data ({type})",
  outputOfType: "Output of type {type}",
  errorStream: "error output",

  recent: "Your recent runs",
  recentEmpty: "What you run appears here.",
  recentFailed: "The list could not be loaded.",
  openRun: "Open run {id}: {status}",
  more: "Show more",
  loading: "Loading…",
  tryAgain: "Try again",

  "status.queued": "In the queue",
  "status.running": "Running",
  "status.completed": "Completed",
  "status.accepted": "Accepted",
  "status.partial": "Partly right",
  "status.wrong_answer": "Wrong answer",
  "status.runtime_error": "Runtime error",
  "status.time_limit_exceeded": "Time limit exceeded",
  "status.memory_limit_exceeded": "Memory limit exceeded",
  "status.output_limit_exceeded": "Too much output",
  "status.compilation_error": "Cannot be run",
  "status.cancelled": "Cancelled",
  "status.internal_error": "Our fault",
  "about.queued": "A worker will take it in a moment.",
  "about.running": "It is running now.",
  "about.completed": "The program ran to its end.",
  "about.runtime_error": "The program stopped with an error.",
  "about.runtime_error.notebook": "A cell failed. The cells that do not depend on it still ran.",
  "about.time_limit_exceeded": "The program took longer than allowed and was stopped. Is there an endless loop?",
  "about.memory_limit_exceeded": "The program needed more memory than allowed and was stopped.",
  "about.output_limit_exceeded": "The program printed more than allowed and was stopped.",
  "about.compilation_error": "Nothing ran: the code has to be corrected first.",
  "about.cancelled": "You stopped this run.",
  "about.internal_error": "Something went wrong on our side, not in your program. Please run it again.",

  "cell.ok": "ok",
  "cell.error": "error",
  "cell.not_run": "not run",
  "cell.stopped": "stopped",
  "cell.disabled": "disabled",
  "cell.interrupted": "interrupted",

  "problem.network": "The server cannot be reached. Check your connection and try again.",
  "problem.no_answer": "The server gave no usable answer. Try again in a moment.",
  "problem.too_many_requests": "Too many requests. Try again in {seconds}.",
  "problem.too_many_attempts": "Too many attempts. Try again in {seconds}.",
};

const ru = {
  logIn: "Войти",
  logOut: "Выйти",
  register: "Регистрация",
  createAccount: "Создать аккаунт",
  loginOrEmail: "Логин или почта",
  login: "Логин",
  loginHint: "от 3 до 32 латинских букв, цифр, точек, дефисов, подчёркиваний",
  email: "Почта",
  name: "Имя",
  password: "Пароль",
  passwordHint: "не менее 10 символов",
  fillIn: "Заполните это поле.",
  sessionEnded: "Сеанс закончился. Войдите снова; ваш код на месте.",
  pitchWrite: "Пишите код.",
  pitchRun: "Запускайте.",
  pitchSee: "Смотрите каждую ячейку.",
  pitchText:
    "Скрипты на Python и блокноты marimo выполняются мгновенно: вывод, ошибки и время по каждой ячейке.",
  pitchLibraries: "Уже есть numpy, pandas, matplotlib и altair.",
  pitchErrors: "Ошибка сразу приводит на свою строку.",
  pitchHistory: "Всё, что вы запускали, остаётся в списке.",

  writeAndRun: "Написать и запустить",
  yourCode: "Ваш код",
  example: "Пример",
  exampleChoose: "Выберите…",
  exampleScript: "Скрипт",
  exampleInput: "Скрипт, который читает ввод",
  exampleNotebook: "Блокнот marimo с графиком",
  exampleError: "Блокнот с ошибкой",
  programmingLanguage: "Язык",
  run: "Запустить",
  editorHint: "Tab делает отступ. Esc, затем Tab — выйти из редактора.",
  stdin: "Ввод (stdin)",
  limits: "Ограничения: {cpu} процессорного времени, {memory} памяти.",

  result: "Результат",
  nothingYet: "Пока ничего не запущено",
  nothingYetText: "Нажмите «Запустить» или Ctrl+Enter в редакторе. Результат появится здесь.",
  noCode: "Пока нечего запускать: кода нет.",
  submitting: "Отправляем…",
  connectionLost: "Связь прервалась. Пробуем ещё раз…",
  cancel: "Отменить",
  cpuTime: "Время процессора",
  wallTime: "Всего времени",
  memory: "Память",
  ranAt: "Отправлено",
  noOutput: "Вывода нет",
  output: "Вывод",
  line: "строка {line}",
  goToLine: "Перейти к строке {line}",
  traceback: "Трассировка",
  cells: "Ячейки",
  graph: "Как ячейки зависят друг от друга",
  graphText: "Ячеек: {cells}, связей: {edges}",
  cell: "Ячейка {number}",
  program: "Программа",
  setup: "Подготовка",
  code: "Код",
  plotOf: "Изображение из: {cell}",
  htmlOf: "Вывод: {cell}",
  chartData: "График в виде данных ({type})",
  outputOfType: "Вывод типа {type}",
  errorStream: "вывод ошибок",

  recent: "Недавние запуски",
  recentEmpty: "Здесь появится то, что вы запустите.",
  recentFailed: "Не удалось загрузить список.",
  openRun: "Открыть запуск {id}: {status}",
  more: "Показать ещё",
  loading: "Загружаем…",
  tryAgain: "Попробовать снова",

  "status.queued": "В очереди",
  "status.running": "Выполняется",
  "status.completed": "Выполнено",
  "status.accepted": "Принято",
  "status.partial": "Частично верно",
  "status.wrong_answer": "Неверный ответ",
  "status.runtime_error": "Ошибка выполнения",
  "status.time_limit_exceeded": "Превышено время",
  "status.memory_limit_exceeded": "Превышена память",
  "status.output_limit_exceeded": "Слишком много вывода",
  "status.compilation_error": "Нельзя запустить",
  "status.cancelled": "Отменено",
  "status.internal_error": "Наша ошибка",
  "about.queued": "Сейчас его возьмёт свободный исполнитель.",
  "about.running": "Программа выполняется.",
  "about.completed": "Программа выполнилась до конца.",
  "about.runtime_error": "Программа остановилась с ошибкой.",
  "about.runtime_error.notebook": "В одной из ячеек ошибка. Ячейки, которые от неё не зависят, всё равно выполнены.",
  "about.time_limit_exceeded": "Программа работала дольше, чем можно, и была остановлена. Нет ли бесконечного цикла?",
  "about.memory_limit_exceeded": "Программе понадобилось больше памяти, чем можно, и она была остановлена.",
  "about.output_limit_exceeded": "Программа напечатала больше, чем можно, и была остановлена.",
  "about.compilation_error": "Ничего не запускалось: сначала нужно исправить код.",
  "about.cancelled": "Вы остановили этот запуск.",
  "about.internal_error": "Что-то сломалось у нас, а не в вашей программе. Запустите её ещё раз.",

  "cell.ok": "готово",
  "cell.error": "ошибка",
  "cell.not_run": "не выполнялась",
  "cell.stopped": "остановлена",
  "cell.disabled": "отключена",
  "cell.interrupted": "прервана",

  "problem.network": "Сервер недоступен. Проверьте соединение и попробуйте снова.",
  "problem.no_answer": "Сервер не дал понятного ответа. Попробуйте чуть позже.",
  "problem.too_many_requests": "Слишком много запросов. Попробуйте через {seconds}.",
  "problem.service_unavailable": "Сервис сейчас не отвечает. Попробуйте чуть позже.",
  "problem.internal_error": "Что-то сломалось на нашей стороне. Попробуйте ещё раз.",
  "problem.payload_too_large": "Слишком большой текст.",
  "problem.too_many_attempts": "Слишком много попыток. Попробуйте через {seconds}.",
  "problem.too_many_registrations": "Слишком много регистраций из вашей сети. Попробуйте через {seconds}.",
  "problem.too_many_waiting": "Слишком много ваших запусков ещё ждут очереди. Дождитесь их.",
  "problem.wrong_credentials": "Неверный логин или пароль.",
  "problem.weak_password": "Такой пароль слишком слабый.",
  "problem.login_taken": "Этот логин уже занят.",
  "problem.email_taken": "Эта почта уже занята.",
  "problem.session_ended": "Сеанс закончился. Войдите снова.",
  "problem.submission_not_found": "Такого запуска нет.",
  "problem.validation_failed": "Проверьте отмеченные поля.",
};

/** The services' sentences about single fields, as they say them. */
const SAID_IN_RUSSIAN = {
  "This login is taken.": "Этот логин занят.",
  "There is an account with this e-mail.": "С этой почтой уже есть аккаунт.",
  "3 to 32 of the letters A-Z, digits, dot, hyphen and underscore.":
    "От 3 до 32 латинских букв, цифр, точек, дефисов и подчёркиваний.",
  "Not an e-mail address we can use (international domains: in their xn-- form).": "Это не похоже на адрес почты.",
  "Use at least 10 characters.": "Нужно не менее 10 символов.",
  "This password is on the list of the most common ones; choose another.":
    "Этот пароль из списка самых частых; придумайте другой.",
  "This password is little more than your login or e-mail; choose another.":
    "Этот пароль почти повторяет ваш логин или почту; придумайте другой.",
};

const DICTIONARIES = { en, ru };
const listeners = [];
let language = recall("language");
if (!(language in DICTIONARIES)) {
  language = navigator.languages?.some((each) => each.toLowerCase().startsWith("ru")) ? "ru" : "en";
}

export const currentLanguage = () => language;

/** The words for a key, with {names} filled in; null when neither language knows it. */
export function lookUp(key, values = {}) {
  const text = DICTIONARIES[language][key] ?? en[key];
  return text === undefined ? null : text.replace(/\{(\w+)\}/g, (_, name) => values[name] ?? "");
}

/** As lookUp, but a missing key shows as itself: better an odd word than an empty button. */
export const t = (key, values) => lookUp(key, values) ?? key;

/** A server's words for a key of which it may know more than we do: `status.` + a status we never heard of. */
export const wordFor = (group, word) => lookUp(`${group}.${word}`) ?? String(word).replaceAll("_", " ");

export function setLanguage(code) {
  language = code;
  remember("language", code);
  translatePage();
  for (const listener of listeners) listener();
}

export function whenLanguageChanges(listener) {
  listeners.push(listener);
}

/** Put the words into everything the page marks with data-t (its text) and data-t-label (its label). */
export function translatePage() {
  document.documentElement.lang = language;
  for (const element of document.querySelectorAll("[data-t]")) element.textContent = t(element.dataset.t);
  for (const element of document.querySelectorAll("[data-t-label]")) {
    element.setAttribute("aria-label", t(element.dataset.tLabel));
  }
  for (const button of document.querySelectorAll("[data-language]")) {
    button.setAttribute("aria-pressed", String(button.dataset.language === language));
  }
}

/** One plain sentence for whatever went wrong with a request. */
export function problemText(problem) {
  const seconds = duration((problem.retryAfter || 1) * 1000);
  const ours = lookUp(`problem.${problem.code}`, { seconds });
  return ours ?? (problem.detail || t("problem.no_answer"));
}

/** A service's sentence about one field. */
export const fieldText = (message) => (language === "ru" && SAID_IN_RUSSIAN[message]) || message;

// Figures ----------------------------------------------------------------------------------------

const number = (value, unit, digits = 0) =>
  new Intl.NumberFormat(language, {
    style: "unit",
    unit,
    unitDisplay: "short",
    maximumFractionDigits: digits,
  }).format(value);

/** Milliseconds for people: 14 ms, 2.5 s, 2 min. */
export function duration(milliseconds) {
  if (milliseconds < 1000) return number(milliseconds, "millisecond", milliseconds < 10 ? 1 : 0);
  if (milliseconds < 60_000) return number(milliseconds / 1000, "second", 1);
  return number(milliseconds / 60_000, "minute");
}

/** KiB for people. */
export function memory(kib) {
  if (kib < 1024) return number(kib, "kilobyte");
  return number(kib / 1024, "megabyte", kib < 10 * 1024 ? 1 : 0);
}

/** "5 minutes ago", or the date when it is long past. */
export function timeAgo(iso) {
  const seconds = (Date.parse(iso) - Date.now()) / 1000;
  if (Number.isNaN(seconds)) return "";
  const relative = new Intl.RelativeTimeFormat(language, { numeric: "auto", style: "short" });
  if (seconds > -60) return relative.format(Math.min(0, Math.round(seconds)), "second");
  if (seconds > -3600) return relative.format(Math.round(seconds / 60), "minute");
  if (seconds > -86400) return relative.format(Math.round(seconds / 3600), "hour");
  return new Intl.DateTimeFormat(language, { dateStyle: "medium", timeStyle: "short" }).format(new Date(iso));
}
