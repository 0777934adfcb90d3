// Who listens to what: the pure part of the shared stream.
//
// Tabs subscribe with the runs they show, each with the number of the last event it knows, and
// with topics. The hub says which address one stream needs to serve them all, and hands each
// message to the tabs it concerns, in order and once.

export class Hub {
  #tabs = new Map();

  /** Add or replace a tab's wishes: {runs: {id: seq}, topics: [name]}. Return whether the stream
  must be opened anew: it lacks something, or the tab is behind what the stream tells next. */
  subscribe(tab, { runs = {}, topics = [] }) {
    const before = this.#wanted();
    // What a tab knows of a run is at least where the stream is in it.
    const isBehind = Object.entries(runs).some(
      ([run, seq]) => seq < (before.runs.get(Number(run)) ?? seq),
    );
    const known = this.#tabs.get(tab);
    this.#tabs.set(tab, {
      runs: new Map(Object.entries(runs).map(([run, seq]) => [Number(run), seq])),
      topics: new Set(topics),
    });
    const after = this.#wanted();
    const joinsTopic = topics.some((topic) => !known?.topics.has(topic));
    return isBehind || joinsTopic || !covers(before, after);
  }

  unsubscribe(tab) {
    this.#tabs.delete(tab);
    return this.#tabs.size;
  }

  get isEmpty() {
    return this.#tabs.size === 0;
  }

  tabs() {
    return [...this.#tabs.keys()];
  }

  /** Return the stream's query, with the cursor of the tab that knows least; null: none needed. */
  query() {
    const { runs, topics } = this.#wanted();
    if (!runs.size && !topics.size) return null;
    const query = new URLSearchParams();
    for (const run of runs.keys()) query.append("run", run);
    for (const topic of topics) query.append("topic", topic);
    if (runs.size) query.set("cursor", [...runs].map(([run, seq]) => `${run}:${seq}`).join(","));
    return query;
  }

  /** Return the tabs that an event of a run is new to, and remember that they have it. */
  takersOfEvent({ run, seq }) {
    const takers = [];
    for (const [tab, { runs }] of this.#tabs) {
      if (!runs.has(run) || runs.get(run) >= seq) continue;
      runs.set(run, seq);
      takers.push(tab);
    }
    return takers;
  }

  /** Return the tabs that listen to a topic. */
  takersOfTopic(topic) {
    return [...this.#tabs].filter(([, { topics }]) => topics.has(topic)).map(([tab]) => tab);
  }

  /** Return every wanted run with the lowest number known of it, and every wanted topic. */
  #wanted() {
    const runs = new Map();
    const topics = new Set();
    for (const tab of this.#tabs.values()) {
      for (const [run, seq] of tab.runs) runs.set(run, Math.min(seq, runs.get(run) ?? Infinity));
      for (const topic of tab.topics) topics.add(topic);
    }
    return { runs, topics };
  }
}

function covers(before, after) {
  return (
    [...after.runs.keys()].every((run) => before.runs.has(run)) &&
    [...after.topics].every((topic) => before.topics.has(topic))
  );
}
