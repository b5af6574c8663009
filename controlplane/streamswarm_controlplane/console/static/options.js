// A probe's options as a form, made from their JSON Schema; objects and lists are written as JSON.

import { element } from "./dom.js";

// Fields for all properties; `given` are the options that a test has already.
export function optionFields(schema, given) {
  const definitions = schema.$defs || {};
  return Object.entries(schema.properties || {}).map(([name, property]) => field(name, property, definitions, given[name]));
}

function field(name, schema, definitions, given) {
  const plain = (schema.anyOf || [schema]).find((one) => one.type !== "null");
  const resolved = plain.$ref ? definitions[plain.$ref.split("/").pop()] : plain;
  const kind = resolved.enum ? "string" : resolved.type || "json";
  const value = given === undefined ? "" : kind === "string" ? given ?? "" : JSON.stringify(given);
  let input;
  if (resolved.enum) {
    const chosen = given ?? schema.default;
    input = element("select", {}, ...resolved.enum.map((one) => element("option", { value: one, selected: one === chosen }, one)));
  } else if (resolved.type === "boolean") {
    input = element("input", { type: "checkbox", checked: (given ?? schema.default) === true });
  } else if (resolved.type === "integer" || resolved.type === "number") {
    input = element("input", { type: "number", step: resolved.type === "integer" ? 1 : "any",
      min: resolved.minimum, max: resolved.maximum, placeholder: schema.default, value });
  } else {
    const shown = typeof schema.default === "string" ? schema.default : JSON.stringify(schema.default ?? "");
    const secret = resolved.format === "password";
    input = element("input", { value, type: secret ? "password" : "text", placeholder: secret ? "" : shown,
      autocomplete: secret ? "new-password" : "off" });
  }
  input.dataset.option = name;
  input.dataset.kind = kind;
  input.dataset.given = given === undefined ? "" : "yes";
  input.dataset.initial = input.type === "checkbox" ? String(input.checked) : input.value;
  const help = element("small", {}, schema.description || "");
  return input.type === "checkbox"
    ? element("label", { class: "check" }, input, ` ${name.replaceAll("_", " ")}`, help)
    : element("label", {}, name.replaceAll("_", " "), " ", input, help);
}

// The options as they are to be sent: what a test had and what was filled in, without what is left at its default.
export function chosenOptions(root) {
  const params = {};
  for (const input of root.querySelectorAll("[data-option]")) {
    const value = input.type === "checkbox" ? String(input.checked) : input.value.trim();
    const untouched = value === input.dataset.initial && !input.dataset.given;
    if (value === "" || untouched) continue;
    try {
      params[input.dataset.option] = input.dataset.kind === "string" ? value : JSON.parse(value);
    } catch {
      throw new Error(`The option ${input.dataset.option.replaceAll("_", " ")} takes JSON, such as ${input.placeholder || "[]"}.`);
    }
  }
  return params;
}
