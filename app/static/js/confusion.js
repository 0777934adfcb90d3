// A click on a cell of a confusion matrix opens its images; tables beside it do so by keyboard.

import { show } from "./sections.js";

/** Follow the matrices of this page, those that come later included. */
export function startMatrices() {
  document.addEventListener("tuneboard:drawn", ({ target }) => {
    if (target.id === "confusion") target.querySelectorAll(".plot").forEach(follow);
  });
}

function follow(plot) {
  plot.on("plotly_click", ({ points: [point] }) => {
    const key = point.data.meta?.cells;
    if (key) show({ cell: [`${key}-${point.y}-${point.x}`], cellpage: [] }, "cell");
  });
}
