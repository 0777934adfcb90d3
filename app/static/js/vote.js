// The vote's form: its members become one parameter of the address, and the part follows.

import { show } from "./sections.js";

/** Count the votes when the form is sent. */
export function followVote() {
  document.addEventListener("submit", (event) => {
    const form = event.target.closest?.("form[data-vote]");
    if (!form) return;
    event.preventDefault();
    const given = new FormData(form);
    const method = given.get("vote_by");
    show({
      vote: [given.getAll("vote").join(",")],
      vote_by: method === "majority" ? [] : [method],
      vote_prefer: given.getAll("vote_prefer").filter(Boolean),
    });
  });
  document.addEventListener("change", ({ target }) => {
    if (target.form?.matches("[data-vote]")) checkMembers(target.form);
  });
}

function checkMembers(form) {
  const boxes = [...form.querySelectorAll('input[name="vote"]')];
  const enough = boxes.filter((box) => box.checked).length >= 2;
  boxes[0].setCustomValidity(enough ? "" : "Tick at least two runs.");
}
