// Which of the things that have ended are news to this browser, and how they are said.

const SHOWN_AT_ONCE = 3;
const SEEN_KEPT = 400;

/** What a browser remembers: from when on things are news, and what it was told. */
export function readMemory(text, now) {
  try {
    const found = JSON.parse(text);
    if (typeof found.since === "number" && Array.isArray(found.seen)) return found;
  } catch {
    // Nothing kept yet, or nothing of ours.
  }
  return { since: now, seen: [] };
}

/** Return what is news, oldest first, and the memory after it was told.

`whose` is mine, all or none; `members`: runs of studies are told one by one too. What the choice
leaves out counts as told: another choice later brings up nothing old. */
export function takeNews(ended, memory, { owner, whose, members }) {
  const seen = new Set(memory.seen);
  const fresh = ended.filter(({ key, at }) => at > memory.since && !seen.has(key));
  const news = fresh.filter((one) => {
    if (whose === "none" || (whose === "mine" && one.owner !== owner)) return false;
    return members || one.kind === "study" || one.study_id === null || one.how === "failed";
  });
  const kept = [...memory.seen, ...fresh.map(({ key }) => key)].slice(-SEEN_KEPT);
  return { news: news.sort((a, b) => a.at - b.at), memory: { ...memory, seen: kept } };
}

/** Return what to show: [{text, url, tone}]; many at once become one line. */
export function asToasts(news) {
  if (news.length <= SHOWN_AT_ONCE) return news.map(asToast);
  const counts = new Map();
  for (const { kind, how } of news) {
    const key = `${kind} ${how}`;
    counts.set(key, (counts.get(key) ?? 0) + 1);
  }
  const text = [...counts].map(([key, count]) => `${count} ${count > 1 ? MANY(key) : key}`).join(", ");
  const isBad = news.some(({ how }) => how === "failed");
  return [{ text: `Since you last looked: ${text}.`, url: "/runs", tone: isBad ? "bad" : "ok" }];
}

const MANY = (key) => key.replace("study", "studies").replace("run", "runs");
const HOW = {
  succeeded: "has succeeded",
  failed: "has failed",
  cancelled: "was cancelled",
  ended: "has ended",
  stopped: "was stopped",
};
const TONES = { failed: "bad", cancelled: "idle", stopped: "idle" };

function asToast({ kind, id, name, how, url }) {
  const what = kind === "study" ? "Study" : "Run";
  return { text: `${what} ${id}, ${name}, ${HOW[how] ?? how}.`, url, tone: TONES[how] ?? "ok" };
}
