// Where the browser keeps the launch form's draft, and when it is done with.

export const DRAFT_KEY = "tuneboard-launch-draft";
export const SENT_KEY = "tuneboard-launch-sent";

/** Tell whether a page is what a launch that worked leads to. */
export function showsLaunched(path) {
  return /^\/(runs|studies)\/\d+$/.test(path);
}

export function read(key) {
  try {
    return localStorage.getItem(key);
  } catch {
    return null;
  }
}

/** Keep a text; null removes it. */
export function write(key, text) {
  try {
    if (text === null) localStorage.removeItem(key);
    else localStorage.setItem(key, text);
  } catch {
    // Without storage it lasts as long as the page.
  }
}

/** Forget the draft of a form that was sent, once the page it leads to is here. */
export function forgetLaunched(path) {
  if (!read(SENT_KEY) || !showsLaunched(path)) return;
  write(SENT_KEY, null);
  write(DRAFT_KEY, null);
}
