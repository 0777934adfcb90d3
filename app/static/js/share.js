// Sharing a comparison: its address, files of it, and whole specs when they are asked for. The
// address changes under the page, so links and forms get the present one when they are used.

/** Follow the buttons and forms of the parts about sharing. */
export function startSharing() {
  document.addEventListener("click", ({ target }) => {
    const link = target.closest?.("[data-export]");
    if (link) link.href = link.dataset.export + location.search;
    const button = target.closest?.("[data-copy-link]");
    if (button) copyLink(button);
  });
  document.addEventListener("submit", ({ target }) => {
    if (target.matches("[data-save]")) target.elements.query.value = location.search;
  });
  document.addEventListener("toggle", ({ target }) => showSpec(target), true);
}

async function copyLink(button) {
  try {
    await navigator.clipboard.writeText(location.href);
    button.textContent = "Copied";
  } catch {
    button.textContent = "Copy it from the address bar";
  }
}

async function showSpec(details) {
  const address = details.dataset?.spec;
  if (!address || !details.open || details.dataset.shown) return;
  details.dataset.shown = "yes";
  const place = details.querySelector("[data-spec-link]");
  try {
    const answer = await fetch(address);
    if (!answer.ok) throw new Error(`status ${answer.status}`);
    place.replaceWith(...specElements(details.id, await answer.text()));
  } catch (error) {
    delete details.dataset.shown;
    place.append(` could not be fetched: ${error.message}`);
  }
}

function specElements(name, yaml) {
  const code = document.createElement("pre");
  Object.assign(code, { className: "code", id: `${name}-yaml`, tabIndex: 0, textContent: yaml });
  code.setAttribute("role", "region");
  code.setAttribute("aria-label", "Spec as YAML");
  const button = document.createElement("button");
  Object.assign(button, { type: "button", className: "button-small", textContent: "Copy" });
  button.dataset.copy = code.id;
  return [button, code];
}
