// When a test is degraded or bad: one line for each limit, in the unit of its field.

import { element } from "./dom.js";

const COMPARISONS = [[">", "above"], [">=", "at least"], ["<", "below"], ["<=", "at most"]];

export function thresholdLine(probe, threshold = {}) {
  const name = (one) => `${one.measurement}.${one.field}`;
  const first = probe.fields.find((one) => one.field === threshold.field
    && (!threshold.measurement || one.measurement === threshold.measurement)) || probe.fields[0];
  const unit = element("span", { class: "muted unit" });
  const fields = element("select", { "data-part": "field", "aria-label": "Field" }, ...probe.fields.map((one) =>
    element("option", { value: name(one), selected: one === first, title: one.help },
      one.measurement === probe.measurements[0] ? one.field : name(one))));
  const comparison = element("select", { "data-part": "comparison", "aria-label": "Comparison" },
    ...COMPARISONS.map(([value, word]) => element("option", { value, selected: value === threshold.comparison }, word)));
  const number = (part, label, more) => element("label", {}, label,
    element("input", { type: "number", step: "any", "data-part": part, value: threshold[part], ...more }));
  const line = element("div", { class: "threshold" }, element("label", {}, "Field", fields),
    element("label", {}, "is", comparison), number("warn", "degraded at"), number("bad", "bad at"),
    number("window", "within (s)", { min: 0, max: 86400, placeholder: 300 }),
    number("share", "share", { min: 0.01, max: 1, placeholder: 0.5 }), unit,
    element("button", { type: "button", class: "quiet small", onclick: () => line.remove(), "aria-label": "Remove this limit" }, "✕"));
  const draw = (chosen) => {
    const field = probe.fields.find((one) => name(one) === fields.value);
    unit.textContent = field.unit;
    if (chosen) comparison.value = field.worse === "down" ? "<" : ">";
  };
  fields.addEventListener("change", () => draw(true));
  draw(!threshold.comparison);
  return line;
}

export function readThresholds(root) {
  return [...root.querySelectorAll(".threshold")].map((line) => {
    const part = (name) => line.querySelector(`[data-part=${name}]`).value;
    const [measurement, field] = part("field").split(".");
    const threshold = { measurement, field, comparison: part("comparison") };
    for (const name of ["warn", "bad", "window", "share"]) if (part(name) !== "") threshold[name] = Number(part(name));
    return threshold;
  });
}
