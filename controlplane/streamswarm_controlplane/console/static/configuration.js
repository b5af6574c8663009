import { api } from "./api.js";
import { action, edit, field, moment } from "./dialogs.js";
import { element } from "./dom.js";

async function load() {
  const [values, history] = await Promise.all([api.all("/config"), api.get("/config/history?limit=50")]);
  document.getElementById("rows").replaceChildren(...values.map(row));
  document.getElementById("history").replaceChildren(...history.items.map(change));
  document.getElementById("no-history").hidden = history.items.length > 0;
}

function bounds(schema) {
  const low = schema.minimum ?? schema.exclusiveMinimum;
  const high = schema.maximum ?? schema.exclusiveMaximum;
  const above = schema.exclusiveMinimum === undefined ? "from" : "above";
  return [low === undefined ? "" : `${above} ${low}`, high === undefined ? "" : `to ${high}`].filter(Boolean).join(" ");
}

function row(one) {
  return element("tr", { "data-key": one.key }, element("td", {}, element("code", {}, one.key), element("span", { class: "sub" }, one.description)),
    element("td", { class: "number" }, String(one.value)),
    element("td", {}, one.is_default ? element("span", { class: "muted" }, "default")
      : element("span", {}, one.changed_by, element("span", { class: "sub" }, moment(one.changed_at), ` · default ${one.default}`))),
    element("td", { class: "actions" }, action("Change", () => change_value(one)), one.is_default ? null : action("Reset", async () => {
      await api.delete(`/config/${one.key}`);
      await load();
    })));
}

async function change_value({ key }) {
  const { body: one, etag } = await api.read(`/config/${key}`);
  const step = one.value_schema.type === "integer" ? 1 : "any";
  edit(one.key, [element("p", {}, one.description), field("Value", { name: "value", type: "number", step, value: one.value, required: true }, bounds(one.value_schema))],
    async (form) => {
      await api.put(`/config/${one.key}`, { value: Number(form.value.value) }, etag);
      await load();
    });
}

function change(one) {
  const text = (value) => (value === null ? "default" : String(value));
  return element("tr", {}, element("td", {}, moment(one.changed_at)), element("td", {}, one.changed_by),
    element("td", {}, element("code", {}, one.key)), element("td", {}, `${text(one.before)} → ${text(one.after)}`));
}

await load();
