// Names of files that a figure is saved as.

const TITLE_LENGTH = 40;
const RUNS_NAMED = 8;

/** Return a name that says what the figure shows and of which runs.

`address`: the page's URL; runs are in its query or its path. */
export function figureFileName(title, address, format) {
  const { pathname, searchParams } = new URL(address);
  const ids = searchParams.getAll("run");
  const one = /\/runs\/(\d+)$/.exec(pathname);
  if (one) ids.push(one[1]);
  const runs = ids.length
    ? [ids.length > 1 ? "runs" : "run", ...ids.slice(0, RUNS_NAMED), ...(ids.length > RUNS_NAMED ? ["more"] : [])]
    : [];
  return `${["tuneboard", slug(title), ...runs].filter(Boolean).join("-")}.${format}`;
}

function slug(title) {
  const plain = title.toLowerCase().normalize("NFKD").replace(/\(.*\)/g, "");
  const words = plain.replace(/[^a-z0-9]+/g, "-");
  return words.slice(0, TITLE_LENGTH).replace(/^-+|-+$/g, "");
}
