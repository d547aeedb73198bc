/** What the browser remembers between visits. Never a token. A browser that forbids it only forgets. */

export function remember(key, value) {
  try {
    if (value === null) localStorage.removeItem(`labs.${key}`);
    else localStorage.setItem(`labs.${key}`, value);
  } catch {
    // Storage is full or forbidden: nothing that matters is lost.
  }
}

export function recall(key) {
  try {
    return localStorage.getItem(`labs.${key}`);
  } catch {
    return null;
  }
}
