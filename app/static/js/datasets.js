// The Datasets pages: the list, or one dataset, follows its preparation.

import { listen } from "./lib/live.js";
import { refresher } from "./lib/regions.js";

const region = () =>
  document.getElementById("datasets-region") ?? document.getElementById("dataset-region");
const refresh = refresher(() => region().dataset.live);

listen({ topics: ["datasets"] }, { datasets: take });

for (const form of document.querySelectorAll("form[data-auto-submit]")) {
  form.addEventListener("change", () => form.checkValidity() && form.requestSubmit());
}

let isFirst = true;

function take({ datasets }) {
  const name = region().dataset.name;
  const concerns = !name || datasets.some((dataset) => dataset.name === name);
  // The first message repeats what the page was rendered with; it may still be newer.
  if (concerns && !(isFirst && datasets.every((dataset) => dataset.status !== "preparing"))) refresh();
  isFirst = false;
}
