import { api, showProblem } from "./api.js";
import { element } from "./dom.js";
import { formatSeconds } from "./format.js";

const form = document.getElementById("form");
const add = document.getElementById("add");
const mayChange = Boolean(add);
let [probes, agents, assignments] = [[], [], []];

async function load() {
  let tests;
  [probes, agents, assignments, tests] = await Promise.all(
    ["/probes", "/agents", "/assignments", "/tests"].map((path) => api.all(path)));
  document.getElementById("rows").replaceChildren(...tests.map(row));
  document.getElementById("empty").hidden = tests.length > 0;
}

function row(test) {
  const names = new Map(agents.map((agent) => [agent.id, agent.name]));
  const assigned = assignments.filter((one) => one.test_id === test.id).map((one) => names.get(one.agent_id));
  return element("tr", { "data-test": test.key },
    element("td", {}, test.name, element("span", { class: "sub" }, test.key)),
    element("td", {}, test.probe), element("td", { class: "wide" }, test.target || "the agent's host"),
    element("td", { class: "number" }, formatSeconds(test.interval)),
    element("td", {}, assigned.join(", ") || "none"),
    element("td", {}, element("span", { class: `state ${test.paused ? "paused" : "up"}` },
      test.paused ? "‖ paused" : "✓ running")),
    element("td", { class: "actions" }, ...(mayChange ? [
      element("button", { class: "quiet small", type: "button", onclick: () => pause(test) },
        test.paused ? "Resume" : "Pause"), " ",
      element("button", { class: "quiet small", type: "button", onclick: () => remove(test) }, "Delete")] : [])));
}

async function pause(test) {
  await api.patch(`/tests/${test.id}`, { paused: !test.paused });
  await load();
}

async function remove(test) {
  const dialog = document.getElementById("confirm");
  document.getElementById("question").textContent = `Delete the test ${test.name}? What it measured stays.`;
  dialog.showModal();
  dialog.addEventListener("close", async () => {
    if (dialog.returnValue !== "yes") return;
    await api.delete(`/tests/${test.id}`);
    await load();
  }, { once: true });
}

function chosenProbe() {
  return probes.find((probe) => probe.name === form.probe.value);
}

function drawForm() {
  const probe = chosenProbe();
  document.getElementById("probe-help").textContent = probe.help;
  document.getElementById("target-label").hidden = !probe.has_target;
  form.elements.namedItem("target").required = probe.has_target;
  form.elements.namedItem("target").placeholder = probe.example_target;
  const definitions = probe.params.$defs || {};
  document.getElementById("options").replaceChildren(
    ...Object.entries(probe.params.properties || {}).map(([name, schema]) => option(name, schema, definitions)));
}

// A field for one property of the options' JSON Schema; objects are written as JSON.
function option(name, schema, definitions) {
  const plain = (schema.anyOf || [schema]).find((one) => one.type !== "null");
  const resolved = plain.$ref ? definitions[plain.$ref.split("/").pop()] : plain;
  let input;
  if (resolved.enum) {
    input = element("select", {}, ...resolved.enum.map((value) =>
      element("option", { value, selected: value === schema.default }, value)));
  } else if (resolved.type === "boolean") {
    input = element("input", { type: "checkbox", checked: schema.default === true });
  } else if (resolved.type === "integer" || resolved.type === "number") {
    input = element("input", { type: "number", step: resolved.type === "integer" ? 1 : "any",
      min: resolved.minimum, max: resolved.maximum, placeholder: schema.default });
  } else {
    input = element("input", { placeholder: typeof schema.default === "string" ? schema.default : JSON.stringify(schema.default ?? "") });
  }
  input.dataset.option = name;
  input.dataset.kind = resolved.enum ? "string" : resolved.type || "json";
  input.dataset.initial = input.type === "checkbox" ? String(input.checked) : input.value;
  return element("label", {}, name.replaceAll("_", " "), " ", input, element("small", {}, schema.description || ""));
}

function chosenOptions() {
  const params = {};
  for (const input of document.querySelectorAll("[data-option]")) {
    const value = input.type === "checkbox" ? String(input.checked) : input.value.trim();
    if (value === "" || value === input.dataset.initial) continue;
    const kind = input.dataset.kind;
    params[input.dataset.option] = kind === "string" ? value : JSON.parse(value);
  }
  return params;
}

add?.addEventListener("click", () => {
  form.probe.replaceChildren(...probes.map((probe) => element("option", { value: probe.name }, probe.title)));
  document.getElementById("agents").replaceChildren(...agents.filter((agent) => agent.state !== "revoked").map((agent) =>
    element("label", {}, element("input", { type: "checkbox", name: "agent", value: agent.id, checked: agents.length === 1 }),
      ` ${agent.name}`)));
  drawForm();
  form.hidden = false;
  form.elements.namedItem("name").focus();
});
form.probe.addEventListener("change", drawForm);
form.addEventListener("reset", () => { form.hidden = true; showProblem(null); });
form.addEventListener("submit", async (event) => {
  event.preventDefault();
  showProblem(null);
  try {
    await api.post("/tests", {
      name: form.elements.namedItem("name").value,
      probe: form.probe.value,
      target: chosenProbe().has_target ? form.elements.namedItem("target").value : "",
      interval: Number(form.interval.value),
      params: chosenOptions(),
      agent_ids: [...form.querySelectorAll("[name=agent]:checked")].map((box) => box.value),
    });
    form.reset();
    await load();
  } catch (problem) {
    showProblem(problem instanceof SyntaxError ? new Error("An option is no valid JSON.") : problem);
  }
});

await load();
add?.removeAttribute("disabled"); // the form needs to know probes and agents
