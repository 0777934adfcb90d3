// The choice of which notices are shown, made when a script is there to show them.

const WHOSE = [
  ["mine", "My own"],
  ["all", "Everybody's"],
  ["none", "None"],
];

/** Fill the menu; `choice()` tells what was chosen, `keep(changes)` remembers. */
export function setUpMenu({ choice, keep }) {
  const menu = document.getElementById("notices-menu");
  if (!menu) return;
  const { whose, members } = choice();
  const group = make("div", { role: "radiogroup", "aria-label": "Tell me when a run or study ends" });
  group.append(make("p", { class: "label" }, "Tell me when a run or study ends"));
  for (const [value, text] of WHOSE) {
    const radio = control("radio", `notices-${value}`, value === whose);
    radio.name = "notices-whose";
    radio.value = value;
    group.append(labelled(radio, text));
  }
  const each = control("checkbox", "notices-members", members);
  const ask = make("button", { type: "button", class: "button-small", id: "notices-ask" });
  const said = make("p", { class: "small soft", "aria-live": "polite" });
  const panel = make("div", { class: "notices-panel" });
  panel.append(group, labelled(each, "Each run of a study too"), ask, said);
  menu.append(panel);
  menu.hidden = false;

  menu.addEventListener("change", () => {
    keep({ whose: group.querySelector("input:checked").value, members: each.checked });
  });
  ask.addEventListener("click", async () => {
    const isOn = choice().outside && Notification.permission === "granted";
    keep({ outside: !isOn });
    if (!isOn) await Notification.requestPermission();
    sayOutside();
  });
  document.addEventListener("click", ({ target }) => {
    if (!menu.contains(target)) menu.open = false;
  });
  menu.addEventListener("keydown", ({ key }) => {
    if (key !== "Escape") return;
    menu.open = false;
    menu.querySelector("summary").focus();
  });
  sayOutside();

  function sayOutside() {
    if (!("Notification" in window) || !window.isSecureContext) {
      ask.hidden = true;
      said.textContent = "Outside this page, notices need https or this machine's own address.";
      return;
    }
    const { outside } = choice();
    const isOn = outside && Notification.permission === "granted";
    ask.textContent = isOn ? "Only within the page again" : "Notify me outside this page too";
    said.textContent = "";
    if (isOn) said.textContent = "The browser notifies you while a page of Tuneboard is open.";
    else if (outside && Notification.permission === "denied") {
      said.textContent = "The browser forbids it; its settings for this site allow it again.";
    }
  }
}

function control(type, id, checked) {
  const made = make("input", { type, id });
  made.checked = checked;
  return made;
}

function labelled(input, text) {
  const label = make("label", { for: input.id });
  label.append(input, ` ${text}`);
  return label;
}

function make(name, attributes, text = "") {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  made.textContent = text;
  return made;
}
