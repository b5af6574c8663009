import { api, showProblem } from "./api.js";
import { copied, element, onSubmit, ready, refill } from "./dom.js";
import { formatAge, formatLocal, formatMoment, formatSeconds } from "./format.js";
import { readLabels } from "./labels.js";

const form = document.getElementById("form");
const editor = document.getElementById("editor");
const search = document.getElementById("search");
const copy = document.getElementById("copy");
const role = document.body.dataset.role;
const mayChange = role === "operator" || role === "admin";
const ICONS = { online: "✓", late: "◌", offline: "✕", draining: "‖", revoked: "✕", "never seen": "…" };
let agents = [];
let state = "";

async function load() {
  agents = await api.all("/agents");
  draw();
}

function draw() {
  const words = search.value.toLowerCase().split(/\s+/).filter(Boolean);
  const found = agents.filter((agent) => words.every((word) => haystack(agent).includes(word)));
  drawStates(found);
  const shown = found.filter((agent) => !state || agent.state === state);
  refill(document.getElementById("rows"), shown.map(row));
  const empty = document.getElementById("empty");
  empty.hidden = shown.length > 0;
  empty.textContent = agents.length
    ? "Nothing matches the filter."
    : "No agent is enrolled yet. Add one, and run the command that is shown on its host.";
}

// How many are online, offline and so on; a click leaves only those.
function drawStates(found) {
  const place = document.getElementById("states");
  const counts = new Map(Object.keys(ICONS).map((name) => [name, found.filter((agent) => agent.state === name).length]));
  if (!counts.get(state)) state = "";
  const button = (name, text) => element("button", { class: "quiet small", type: "button", "data-state": name,
    "aria-pressed": String(state === name), onclick: () => { state = name; draw(); place.querySelector(`[data-state="${name}"]`)?.focus(); } }, text);
  const held = place.contains(document.activeElement) && document.activeElement.dataset.state;
  place.replaceChildren(button("", `all ${found.length}`),
    ...[...counts].filter(([, count]) => count).map(([name, count]) => button(name, `${ICONS[name]} ${name} ${count}`)));
  if (held !== false) place.querySelector(`[data-state="${held}"]`)?.focus();
  place.hidden = agents.length === 0;
}

function haystack(agent) {
  const labels = Object.entries(agent.labels).map(([name, value]) => `${name}=${value}`);
  return [agent.name, agent.site, agent.state, agent.version, agent.host.hostname, ...agent.addresses, ...labels]
    .join("\n").toLowerCase();
}

function row(agent) {
  const seen = agent.last_seen_at ? Date.parse(agent.last_seen_at) : null;
  return element("tr", { "data-agent": agent.name },
    element("td", {}, element("span", { class: `state ${agent.state.split(" ")[0]}` },
      element("span", { "aria-hidden": "true" }, ICONS[agent.state]), agent.state),
      agent.restart_requested_at ? element("span", { class: "sub" }, "restart is wanted") : null,
      agent.draining && agent.state !== "draining" ? element("span", { class: "sub" }, "drained") : null),
    element("td", { class: "name wide" }, agent.name, element("span", { class: "sub" }, agent.site || "no site")),
    element("td", { class: "wide" }, ...labels(agent)),
    element("td", {}, agent.version || "–",
      element("span", { class: "sub whole" }, agent.uptime === null ? "" : `up ${formatSeconds(agent.uptime)}`)),
    element("td", {}, seen ? element("time", { title: formatMoment(seen) }, formatAge(seen)) : "never"),
    element("td", { class: "number" }, ...clock(agent)),
    element("td", { class: "number" }, String(agent.queued_points)),
    element("td", {}, agent.host.hostname || "–",
      element("span", { class: "sub" }, [agent.host.system, agent.host.release].filter(Boolean).join(" ")),
      element("span", { class: "sub", title: agent.addresses.join("\n") }, addresses(agent))),
    element("td", { class: "actions" }, ...actions(agent)));
}

function labels(agent) {
  const names = Object.keys(agent.labels).sort();
  return names.length
    ? names.map((name) => element("span", { class: "label" }, `${name}=${agent.labels[name]}`))
    : ["–"];
}

// The control plane's clock minus the agent's. Without a bound nobody knows how far it may be off.
function clock(agent) {
  if (agent.clock_offset === null) return ["–"];
  const error = agent.clock_error === null ? "± unknown" : `± ${formatSeconds(agent.clock_error)}`;
  return [formatSeconds(agent.clock_offset), element("span", { class: "sub" }, error)];
}

function addresses(agent) {
  const [first, ...more] = agent.addresses;
  return first ? `${first}${more.length ? ` and ${more.length} more` : ""}` : "";
}

function actions(agent) {
  if (!mayChange) return [];
  const offered = [["Edit", () => edit(agent)]];
  if (agent.state !== "revoked") {
    offered.push(agent.draining ? ["Undrain", () => act(agent, "undrain")] : ["Drain", () => drain(agent)]);
    if (agent.started_at) offered.push(["Restart", () => restart(agent)]);
    offered.push(["Shut out", () => revoke(agent)]);
  }
  if (role === "admin") offered.push(["Delete", () => remove(agent)]);
  return offered.map(([word, onclick]) => element("button", { class: "quiet small", type: "button", onclick }, word));
}

async function act(agent, what) {
  try {
    say("");
    await api.post(`/agents/${agent.id}/${what}`);
    await load();
  } catch (problem) {
    say(problem.message);
  }
}

async function drain(agent) {
  const question = `Drain ${agent.name}? It starts no more runs until it is undrained. Its assignments stay.`;
  if (await confirmed(question, "Drain")) await act(agent, "drain");
}

async function restart(agent) {
  const question = `Restart ${agent.name}? Its process ends with its next heartbeat; systemd, Docker or streamswarm up `
    + "starts it again. One that nothing watches over stays ended.";
  if (await confirmed(question, "Restart")) await act(agent, "restart");
}

async function revoke(agent) {
  const question = `Shut ${agent.name} out? Its points are refused from now on; its data stay.`;
  if (await confirmed(question, "Shut out")) await act(agent, "revoke");
}

async function remove(agent) {
  const choice = document.getElementById("series-choice");
  choice.hidden = false;
  const agreed = await confirmed(`Delete ${agent.name} with its assignments?`, "Delete");
  choice.hidden = true;
  if (!agreed) return;
  const series = document.querySelector("[name=series]:checked").value;
  try {
    const removed = await api.delete(`/agents/${agent.id}?series=${series}`);
    say(`${removed.name} is deleted; ${removed.detail}.`);
    await load();
  } catch (problem) {
    say(problem.message);
  }
}

function confirmed(question, word) {
  const dialog = document.getElementById("confirm");
  document.getElementById("question").textContent = question;
  document.getElementById("yes").textContent = word;
  document.querySelector("[name=series][value=keep]").checked = true;
  dialog.returnValue = "no";
  dialog.showModal();
  return new Promise((resolve) => {
    dialog.addEventListener("close", () => resolve(dialog.returnValue === "yes"), { once: true });
  });
}

function say(text) {
  const place = document.getElementById("said");
  place.textContent = text;
  place.hidden = !text;
}

async function edit(agent) {
  showEditProblem("");
  const { body, etag } = await api.read(`/agents/${agent.id}`);
  editor.dataset.id = agent.id;
  editor.dataset.etag = etag;
  editor.dataset.name = body.name;
  const fields = document.getElementById("edit").elements;
  fields.namedItem("new_name").value = body.name;
  fields.namedItem("new_site").value = body.site;
  fields.namedItem("labels").value = Object.entries(body.labels).map(([name, value]) => `${name}=${value}`).join("\n");
  editor.showModal();
}

function showEditProblem(text) {
  const place = document.getElementById("edit-problem");
  place.textContent = text;
  place.hidden = !text;
}

document.getElementById("cancel-edit").addEventListener("click", () => editor.close());
onSubmit(document.getElementById("edit"), async () => {
  const fields = document.getElementById("edit").elements;
  try {
    const change = {
      name: fields.namedItem("new_name").value, site: fields.namedItem("new_site").value,
      labels: readLabels(fields.namedItem("labels").value, "\n"),
    };
    await api.patch(`/agents/${editor.dataset.id}`, change, editor.dataset.etag);
    editor.close();
    await load();
  } catch (problem) {
    showEditProblem(problem.message);
  }
});

ready("add", () => { form.hidden = false; form.site.focus(); });
form.addEventListener("reset", () => { form.hidden = true; showProblem(null); });
onSubmit(form, async () => {
  showProblem(null);
  try {
    const token = await api.post("/enrolment-tokens", { site: form.site.value, agent_name: form.agent_name.value });
    document.getElementById("command").textContent = token.command;
    document.getElementById("expires").textContent = formatLocal(token.expires_at);
    document.getElementById("token").hidden = false;
    form.hidden = true;
    copy.textContent = "Copy";
    copy.focus();
  } catch (problem) {
    showProblem(problem);
  }
});
copy.addEventListener("click", () => copied(document.getElementById("command").textContent, copy));
search.addEventListener("input", draw);
search.value = new URLSearchParams(location.search).get("q") || "";

await load();
setInterval(() => load().catch(() => null), 5000);
