import { copied, element, onSubmit } from "./dom.js";
import { formatLocal } from "./format.js";

function open(...children) {
  const dialog = element("dialog", {}, ...children);
  document.body.append(dialog);
  dialog.addEventListener("close", () => dialog.remove());
  dialog.showModal();
  return dialog;
}

// Asks before something that can't be undone; true if it is to be done.
export function ask(question, action) {
  return new Promise((answer) => {
    const dialog = open(element("form", { method: "dialog" }, element("p", {}, question),
      element("button", { value: "yes", class: "danger" }, action), " ",
      element("button", { value: "no", class: "quiet", autofocus: true }, "Cancel")));
    dialog.addEventListener("close", () => answer(dialog.returnValue === "yes"));
  });
}

// Shows a secret for the only time that there is.
export function reveal(title, secret, hint) {
  const copy = element("button", { type: "button", onclick: () => copied(secret, copy) }, "Copy");
  open(element("form", { method: "dialog" }, element("h2", {}, title),
    element("pre", {}, element("code", { class: "secret" }, secret)), element("p", { class: "hint" }, hint), copy, " ",
    element("button", { class: "quiet", value: "done" }, "I have kept it")));
}

// A form in a dialog; `save` gets the form's elements, and what it throws is shown.
export function edit(title, fields, save, action = "Save") {
  const problem = element("p", { class: "problem", role: "alert", hidden: true });
  const cancel = element("button", { class: "quiet", type: "button", onclick: () => dialog.close() }, "Cancel");
  const form = element("form", {}, element("h2", {}, title), ...fields, problem,
    element("button", { type: "submit" }, action), " ", cancel);
  const dialog = open(form);
  onSubmit(form, async () => {
    problem.hidden = true;
    try {
      await save(form.elements);
      dialog.close();
    } catch (error) {
      problem.textContent = error.message;
      problem.hidden = false;
    }
  });
}

export function field(label, attributes, help) {
  return element("label", {}, label, " ", element("input", attributes), help ? element("small", {}, help) : null);
}

export function choice(label, name, values, chosen) {
  return element("label", {}, label, " ", element("select", { name },
    ...values.map(([value, text]) => element("option", { value, selected: value === chosen }, text))));
}

// A button of a row; what goes wrong is said above the table.
export function action(text, run) {
  return element("button", { class: "quiet small", type: "button", onclick: async () => {
    const place = document.getElementById("problem");
    place.hidden = true;
    try {
      await run();
    } catch (error) {
      place.textContent = error.message;
      place.hidden = false;
    }
  } }, text);
}

export function moment(time, never = "never") {
  if (!time) return element("span", { class: "muted" }, never);
  const date = new Date(time);
  return element("time", { datetime: time, title: `${date.toISOString().slice(0, 19).replace("T", " ")} UTC` },
    formatLocal(date, date <= Date.now() ? "medium" : "short"));
}
