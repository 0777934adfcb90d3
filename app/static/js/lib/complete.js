// What may stand at a place in the filter language: pure, so that it can be tested.

const COMPARISONS = {
  number: ["<", ">", "=", "!=", "<=", ">=", "in"],
  time: [">", "<"],
  text: ["=", "~", "!=", "in"],
  choice: ["=", "!=", "in"],
  tags: ["=", "~", "!=", "in"],
  flag: ["=", "!="],
  mixed: ["=", "!=", "<", ">", "~", "in"],
};
const JOINING = ["and", "or"];
const TOKEN = /\s+|==|!=|<>|!~|<=|>=|[=<>~(),]|"(?:[^"\\]|\\.)*"?|'(?:[^'\\]|\\.)*'?|[^\s()<>=!~,"']+/gy;
const WORD = /^[^\s()<>=!~,"']/;
const LIMIT = 12;

/** Return {start, end, options} for the cursor at `place`: what the text from start to end may
become. An option is {text, note}. `fields` are those of the API. */
export function completions(text, place, fields) {
  const before = tokens(text.slice(0, place));
  const last = before.at(-1);
  const typing = last && !last.space && (WORD.test(last.text) || /^["']/.test(last.text)) ? last : null;
  const start = typing ? typing.start : place;
  const typed = (typing?.text ?? "").replace(/^["']/, "").toLowerCase();
  const done = before.filter((token) => !token.space && token !== typing).map((token) => token.text);
  const end = typing ? place + restOfWord(text.slice(place)) : place;
  const options = expected(done, fields).filter(
    ({ text: option, title = "" }) =>
      option.toLowerCase() !== typed &&
      (option.toLowerCase().includes(typed) || (typed && title.toLowerCase().includes(typed))),
  );
  const rank = ({ text: option }) => (option.toLowerCase().startsWith(typed) ? 0 : 1);
  const sorted = options.map((option, at) => [rank(option), at, option]).sort((a, b) => a[0] - b[0] || a[1] - b[1]);
  return { start, end, options: sorted.slice(0, LIMIT).map((one) => one[2]) };
}

/** Return the text with an option in its place, and where the cursor then is. */
export function completed(text, { start, end }, option) {
  const space = /^\s/.test(text.slice(end)) ? "" : " ";
  const whole = text.slice(0, start) + option.text + space + text.slice(end);
  return { text: whole, place: start + option.text.length + 1 };
}

function tokens(text) {
  const found = [];
  TOKEN.lastIndex = 0;
  let start = 0;
  for (let match = TOKEN.exec(text); match; match = TOKEN.exec(text)) {
    found.push({ text: match[0], start, space: !match[0].trim() });
    start = TOKEN.lastIndex;
  }
  return found;
}

function restOfWord(text) {
  return text.match(/^[^\s()<>=!~,"']*/)[0].length;
}

function expected(done, fields) {
  const last = done.at(-1)?.toLowerCase();
  const byName = (name) => fields.find((field) => field.name === name);
  const names = () => [
    ...fields.filter((field) => field.filters).map(({ name, title }) => ({ text: name, title, note: title })),
    { text: "not", note: "the opposite" },
  ];
  if (last === undefined || ["and", "or", "not"].includes(last)) return names();
  if (last === "(") return done.at(-2)?.toLowerCase() === "in" ? values(byName(done.at(-3))) : names();
  if (last === ",") return values(byName(done[done.lastIndexOf("(") - 2]));
  if (["in"].includes(last)) return [{ text: "(", note: "values with commas between" }];
  if (["=", "==", "!=", "<>", "~", "!~", "contains", "<", ">", "<=", ">="].includes(last)) {
    return values(byName(done.at(-2)));
  }
  const field = byName(done.at(-1));
  const isName = field && !/[=<>~,]$|^in$/i.test(done.at(-2) ?? "") && done.at(-2) !== "(" ;
  if (field && (isName || opensGroup(done))) {
    return COMPARISONS[field.kind].map((text) => ({ text, note: "" }));
  }
  return JOINING.map((text) => ({ text, note: "" }));
}

/** Whether the parenthesis before the last word is one around conditions, not of `in (`. */
function opensGroup(done) {
  return done.at(-2) === "(" && done.at(-3)?.toLowerCase() !== "in";
}

function values(field) {
  if (!field) return [];
  const known = field.kind === "flag" ? ["yes", "no"] : field.values;
  return known.map((value) => ({ text: WORD.test(value) && /^[^\s()<>=!~,"']+$/.test(value) ? value : `"${value.replace(/["\\]/g, "\\$&")}"`, note: "" }));
}
