/** Follow a submission until it is final, by asking again and again: often at first, then less. */

import { Problem, request } from "./api.js";

const PAUSES_MS = [100, 150, 200, 300, 400, 600, 800, 1000, 1500, 2000];
const UNFINISHED = new Set(["queued", "running"]);

export const isFinished = (submission) => !UNFINISHED.has(submission.status);

/**
 * Calls `onChange(submission)` for each new state and `onTrouble(problem | null)` when asking fails or works again.
 * Ends when the submission is final, when `signal` is aborted, or with the Problem that asking again cannot mend.
 */
export async function follow(id, { signal, onChange, onTrouble }) {
  let etag = null;
  let troubled = false;
  for (let round = 0; !signal.aborted; round += 1) {
    let pause = PAUSES_MS[Math.min(round, PAUSES_MS.length - 1)];
    try {
      const headers = etag ? { "If-None-Match": etag } : {};
      const answer = await request("GET", `/api/submissions/${id}`, { headers, signal });
      if (troubled) onTrouble(null);
      troubled = false;
      if (answer.status !== 304) {
        etag = answer.headers.get("ETag");
        onChange(answer.data);
        if (isFinished(answer.data)) return;
      }
    } catch (problem) {
      if (!(problem instanceof Problem)) throw problem;
      if (!mayPass(problem)) throw problem;
      troubled = true;
      onTrouble(problem);
      pause = Math.max(pause, 1000, problem.retryAfter * 1000);
    }
    await sleep(pause, signal);
  }
}

const mayPass = ({ status }) => status === 0 || status === 429 || status >= 500;

function sleep(milliseconds, signal) {
  return new Promise((resolve) => {
    const timer = setTimeout(resolve, milliseconds);
    signal.addEventListener("abort", () => (clearTimeout(timer), resolve()), { once: true });
  });
}
