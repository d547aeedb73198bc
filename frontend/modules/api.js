/**
 * Requests to the platform, and who we are to it.
 *
 * The access token lives in this module's memory and nowhere else; the refresh token is a cookie no script can read.
 */

const REFRESH_PATH = "/api/auth/refresh";

let accessToken = null;
let refreshing = null; // The one refresh in flight: whoever else meets a 401 waits for it.
let onSignedOut = () => {};

/** Any answer but success, with the server's own sentence for it (RFC 9457), or ours when there was no answer. */
export class Problem extends Error {
  constructor({ status = 0, code = "network", detail = "", errors = [], retryAfter = 0 }) {
    super(detail || code);
    this.status = status;
    this.code = code;
    this.detail = detail;
    this.errors = errors;
    this.retryAfter = retryAfter;
  }
}

/** Called once when the session turns out to have ended. */
export function whenSignedOut(callback) {
  onSignedOut = callback;
}

/**
 * Ask, and give back `{ status, data, headers }`; 304 is an answer, too. Throws Problem.
 * An expired access token is renewed on the way.
 */
export async function request(method, path, { body, headers = {}, signal } = {}) {
  const tokenUsed = accessToken;
  try {
    return await send(method, path, { body, headers, signal, token: tokenUsed });
  } catch (problem) {
    if (!(problem instanceof Problem) || problem.status !== 401 || !tokenUsed) throw problem;
    if (accessToken === tokenUsed) await refresh();
    return send(method, path, { body, headers, signal, token: accessToken });
  }
}

/** Come back to an open session without a password; the user, or null when there is none. */
export async function resume() {
  if (!cookie("labs_csrf")) return null;
  try {
    return await refresh();
  } catch (problem) {
    if (problem instanceof Problem && problem.status >= 400 && problem.status < 500) return null;
    throw problem;
  }
}

export async function logIn(login, password) {
  const { data } = await send("POST", "/api/auth/login", { body: { login, password, transport: "cookie" } });
  accessToken = data.access_token;
  return data.user;
}

export async function register(account) {
  const { data } = await send("POST", "/api/auth/register", { body: account });
  return data;
}

/** End the session here and there. Here it ends in any case. */
export async function logOut() {
  const token = accessToken;
  accessToken = null;
  await send("POST", "/api/auth/logout", { body: {}, headers: csrf(), token });
}

/** A new access token for the cookie. All who need one at the same time share one request. */
function refresh() {
  refreshing ??= oneTabAtATime(async () => {
    try {
      const { data } = await sendRefresh();
      accessToken = data.access_token;
      return data.user;
    } catch (problem) {
      if (problem.status === 401 || problem.status === 403) {
        const wasSignedIn = accessToken !== null;
        accessToken = null;
        if (wasSignedIn) onSignedOut();
      }
      throw problem;
    }
  }).finally(() => {
    refreshing = null;
  });
  return refreshing;
}

/**
 * A 409 says that another tab was a moment faster: the cookie it got is ours as well.
 * `keepalive`: when the page is left meanwhile, the new cookie must arrive all the same, for the old one is spent.
 */
async function sendRefresh(triesLeft = 3) {
  try {
    return await send("POST", REFRESH_PATH, { body: {}, headers: csrf(), keepalive: true });
  } catch (problem) {
    if (problem.status !== 409 || triesLeft === 0) throw problem;
    await new Promise((resolve) => setTimeout(resolve, 250));
    return sendRefresh(triesLeft - 1);
  }
}

/** Each refresh token is good for one use, and all tabs share the cookie: two at once would look like a theft. */
function oneTabAtATime(work) {
  return navigator.locks ? navigator.locks.request("labs.refresh", work) : work();
}

function csrf() {
  return { "X-CSRF-TOKEN": cookie("labs_csrf") ?? "" };
}

function cookie(name) {
  const found = document.cookie.split("; ").find((pair) => pair.startsWith(`${name}=`));
  return found ? decodeURIComponent(found.slice(name.length + 1)) : null;
}

async function send(method, path, { body, headers = {}, signal, token, keepalive = false } = {}) {
  let response;
  try {
    response = await fetch(path, {
      method,
      signal,
      keepalive,
      credentials: "same-origin",
      cache: "no-store", // We do our own conditional requests, and want to see the 304.
      headers: {
        Accept: "application/json",
        ...(body === undefined ? {} : { "Content-Type": "application/json" }),
        ...(token ? { Authorization: `Bearer ${token}` } : {}),
        ...headers,
      },
      body: body === undefined ? undefined : JSON.stringify(body),
    });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Problem({ code: "network" });
  }
  if (response.ok || response.status === 304) {
    const text = await response.text();
    return { status: response.status, data: text ? JSON.parse(text) : null, headers: response.headers };
  }
  throw await problemOf(response);
}

async function problemOf(response) {
  const retryAfter = Number(response.headers.get("Retry-After")) || 0;
  try {
    const { code, detail, errors = [] } = await response.json();
    return new Problem({ status: response.status, code, detail, errors, retryAfter });
  } catch {
    return new Problem({ status: response.status, code: "no_answer", retryAfter });
  }
}
