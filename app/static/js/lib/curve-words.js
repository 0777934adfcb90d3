// What is said beneath a figure of curves, and its values as rows.

import { ownerOf } from "./traces.js";

const NAMED = 4; // more runs than this are counted

/** Return the sentences that a figure needs: what was left out, and which runs end early. */
export function notes(answer, curves, labels) {
  const said = [];
  if (answer.sampled_from) {
    said.push(
      `Down-sampled from ${answer.sampled_from.toLocaleString("en")} points to at most ${answer.points_per_curve} a line; every spike and gap is kept. Zoom in for more.`,
    );
  }
  if (answer.ended?.length) {
    const early = new Map();
    for (const { run, at } of answer.ended) early.set(run, Math.max(at, early.get(run) ?? -Infinity));
    const ends = [...early].map(([run, at]) => `${labels.get(run) ?? `run ${run}`} at ${figure(at)}`);
    said.push(`${count(early.size, "run ends", "runs end")} before the longest of its group: ${listed(ends)}.`);
  }
  if (answer.without?.length) {
    const names = [...new Set(answer.without.map(({ run }) => labels.get(run) ?? `run ${run}`))];
    said.push(`Without any value here: ${listed(names)}.`);
  }
  const gaps = curves.filter((curve) => [...curve.y].some((y) => !Number.isFinite(y))).length;
  if (gaps && !answer.groups) said.push(`${count(gaps, "line has", "lines have")} gaps where a value was not finite.`);
  return said.join(" ");
}

/** Return the table's heading and rows of text, one row a line of the figure. */
export function tableRows(curves, looks, family, xTitle) {
  const isGrouped = curves.some((curve) => curve.low);
  const head = [isGrouped ? "Group" : "Run", "Images", "Points", "First", "Last", "Least", "Greatest", isGrouped ? "Runs" : "At its best epoch", `Ends at (${xTitle.toLowerCase()})`];
  const value = (number) => (Number.isFinite(number) ? (family.percent ? `${(number * 100).toFixed(2)} %` : figure(number)) : "–");
  const rows = curves.map((curve) => {
    const known = curve.y.filter(Number.isFinite);
    const [low, high] = [known.reduce((a, b) => Math.min(a, b), Infinity), known.reduce((a, b) => Math.max(a, b), -Infinity)];
    return [
      looks.get(ownerOf(curve)).label,
      curve.metric === family.train ? "training" : "validation",
      String(curve.total),
      value(known[0]),
      value(known[known.length - 1]),
      value(low),
      value(high),
      isGrouped ? runsText(curve.runs) : value(curve.best?.[1]),
      curve.ends_at === null ? "–" : figure(curve.ends_at),
    ];
  });
  return { head, rows };
}

/** Return how many runs a group's points have: `3`, or `2 to 3`. */
export function runsText(runs) {
  const low = runs.reduce((a, b) => Math.min(a, b), Infinity);
  const high = runs.reduce((a, b) => Math.max(a, b), 0);
  return low >= high ? String(high) : `${low} to ${high}`;
}

export function figure(value) {
  if (!Number.isFinite(value)) return "–";
  return Number.isInteger(value) ? String(value) : String(Number(value.toPrecision(4)));
}

function listed(names) {
  if (names.length <= NAMED) return names.join(", ");
  return `${names.slice(0, NAMED).join(", ")} and ${names.length - NAMED} more`;
}

function count(number, one, several) {
  return `${number} ${number === 1 ? one : several}`;
}
