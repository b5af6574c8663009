import { api, showProblem } from "./api.js";
import { ask } from "./dialogs.js";
import { element, onSubmit, ready, refill } from "./dom.js";
import { formatAge, formatLength, formatMoment } from "./format.js";

const EVENTS = ["agent_offline", "test_down", "no_data", "threshold", "anomaly", "store_unavailable"];
const SEVERITIES = ["critical", "warning", "info"];
const STATUS = { delivered: ["✓", "up"], pending: ["…", "pending"], sending: ["…", "pending"], dead: ["✕", "down"] };
const mayAdminister = document.body.dataset.role === "admin";
const mayChange = ["operator", "admin"].includes(document.body.dataset.role);
const place = (name) => document.getElementById(name);
const [channelForm, ruleForm] = [place("channel-form"), place("rule-form")];
let [channels, rules] = [[], []];
let [editedChannel, editedRule, etag] = [null, null, ""];

async function load() {
  let deliveries;
  [channels, rules, deliveries] = await Promise.all([
    api.all("/channels"), api.all("/rules"), api.get("/deliveries?limit=50")]);
  refill(place("channel-rows"), channels.map(channelRow));
  refill(place("rule-rows"), rules.map(ruleRow));
  place("delivery-rows").replaceChildren(...deliveries.items.map(deliveryRow));
  for (const [name, found] of [["channels", channels], ["rules", rules], ["deliveries", deliveries.items]]) {
    place(`${name}-table`).hidden = found.length === 0;
    place(`${name}-empty`).hidden = found.length > 0;
  }
  if (place("add-rule")) place("add-rule").disabled = channels.length === 0;
}

function button(text, onclick) {
  return element("button", { class: "quiet small", type: "button", onclick }, text);
}

function where(channel) {
  const settings = channel.settings;
  if (channel.kind === "email") return `${settings.recipients.join(", ")} by ${settings.host}:${settings.port}`;
  return channel.kind === "slack" ? "incoming webhook" : settings.url;
}

function onOff(enabled) {
  return element("span", { class: `state ${enabled ? "up" : "paused"}` }, enabled ? "✓ on" : "‖ off");
}

function channelRow(channel) {
  return element("tr", { "data-channel": channel.name },
    element("td", {}, channel.name), element("td", {}, channel.kind), element("td", { class: "wide" }, where(channel)),
    element("td", {}, onOff(channel.enabled)), element("td", { class: "actions" }, ...(mayAdminister ? [
      button("Test", () => test(channel)), " ", button("Edit", () => reread(`/channels/${channel.id}`, editChannel)), " ",
      button(channel.enabled ? "Turn off" : "Turn on", () =>
        act(() => api.patch(`/channels/${channel.id}`, { enabled: !channel.enabled }))), " ",
      button("Delete", () => remove(`/channels/${channel.id}`, `Delete the channel ${channel.name}?`))] : [])));
}

function ruleRow(rule) {
  const names = new Map(channels.map((one) => [one.id, one.name]));
  const parts = [rule.events.map(words).join(", ") || "every event", rule.severities.join(", "),
    ...["sites", "agents", "tests"].map((one) => (rule[one].length ? `${one} ${rule[one].join(", ")}` : "")),
    Object.entries(rule.labels).map(([name, value]) => `${name} ${value}`).join(", ")].filter(Boolean);
  return element("tr", { "data-rule": rule.name },
    element("td", {}, rule.name), element("td", { class: "wide" }, parts.join(" · ")),
    element("td", {}, rule.channel_ids.map((id) => names.get(id) || "deleted").join(", ")),
    element("td", {}, rule.group_by.join(", ") || "all in one",
      element("span", { class: "sub" }, `after ${rule.wait ? formatLength(rule.wait) : "no wait"}, ${
        rule.repeat ? `again every ${formatLength(rule.repeat)}` : "once"}`)),
    element("td", {}, onOff(rule.enabled)), element("td", { class: "actions" }, ...(mayAdminister ? [
      button("Edit", () => reread(`/rules/${rule.id}`, editRule)), " ",
      button(rule.enabled ? "Turn off" : "Turn on", () =>
        act(() => api.patch(`/rules/${rule.id}`, { enabled: !rule.enabled }))), " ",
      button("Delete", () => remove(`/rules/${rule.id}`, `Delete the rule ${rule.name}?`))] : [])));
}

function words(name) {
  return name.replaceAll("_", " ");
}

function deliveryRow(delivery) {
  const [icon, kind] = STATUS[delivery.status];
  const made = Date.parse(delivery.created_at);
  const waits = delivery.status === "pending" && delivery.attempts > 0;
  return element("tr", { "data-delivery": delivery.status },
    element("td", {}, element("span", { class: `state ${kind}` }, element("span", { "aria-hidden": "true" }, icon), delivery.status)),
    element("td", {}, delivery.channel_name), element("td", {}, delivery.rule_name || "by hand"),
    element("td", {}, words(delivery.kind)),
    element("td", {}, element("time", { title: formatMoment(made) }, formatAge(made))),
    element("td", { class: "number" }, String(delivery.attempts)),
    element("td", { class: "wide" }, delivery.last_error,
      waits ? element("span", { class: "sub" }, `next attempt ${new Date(delivery.next_attempt_at).toLocaleTimeString()}`) : null),
    element("td", { class: "actions" }, mayChange && (delivery.status === "dead" || waits) && delivery.channel_id
      ? button("Try again", () => act(() => api.post(`/deliveries/${delivery.id}/retry`))) : null));
}

async function act(work) {
  try {
    await work();
    showProblem(null);
  } catch (problem) {
    showProblem(problem);
  }
  await load();
}

async function reread(path, edit) {
  try {
    const found = await api.read(path);
    etag = found.etag;
    edit(found.body);
  } catch (problem) {
    showProblem(problem);
  }
}

async function remove(path, question) {
  if (await ask(question, "Delete")) await act(() => api.delete(path));
}

async function test(channel) {
  const said = place("said");
  said.hidden = false;
  said.textContent = `Sending a test message by ${channel.name} …`;
  try {
    let delivery = await api.post(`/channels/${channel.id}/test`);
    for (let look = 0; look < 30 && delivery.status !== "delivered" && !delivery.last_error; look += 1) {
      await new Promise((resolve) => { setTimeout(resolve, 700); });
      delivery = await api.get(`/deliveries/${delivery.id}`);
    }
    said.textContent = delivery.status === "delivered" ? `The test message by ${channel.name} was delivered. ${delivery.last_error}`
      : `Not delivered by ${channel.name}: ${delivery.last_error || "no answer yet; see Messages below"}`;
  } catch (problem) {
    said.textContent = problem.message;
  }
  await load();
}

// The fields of the chosen kind are shown; those of the others are not sent.
function drawKind() {
  for (const part of channelForm.querySelectorAll("[data-kind]")) {
    part.hidden = part.dataset.kind !== channelForm.kind.value;
    for (const input of part.querySelectorAll("input, select")) input.disabled = part.hidden;
  }
}

function editChannel(channel) {
  editedChannel = channel;
  channelForm.reset();
  place("channel-title").textContent = channel ? `Edit ${channel.name}` : "Add a channel";
  channelForm.kind.value = channel?.kind || "email";
  channelForm.kind.disabled = Boolean(channel);
  if (channel) {
    channelForm.elements.namedItem("name").value = channel.name;
    const group = channelForm.querySelector(`[data-kind=${channel.kind}]`);
    for (const [key, value] of Object.entries(channel.settings)) {
      const input = group.querySelector(`[name=${key}]`);
      if (input) input.value = Array.isArray(value) ? value.join(", ") : value;
    }
  }
  drawKind();
  place("said").hidden = true;
  channelForm.hidden = false;
  channelForm.elements.namedItem("name").focus();
}

function channelBody() {
  const group = channelForm.querySelector(`[data-kind=${channelForm.kind.value}]`);
  const settings = { kind: channelForm.kind.value };
  for (const input of group.querySelectorAll("input, select")) {
    const value = input.value.trim();
    if (input.name === "recipients") settings.recipients = list(value);
    else if (input.name === "port") settings.port = Number(value);
    else if (value !== "" || editedChannel) settings[input.name] = value;
  }
  if (settings.kind === "webhook" && editedChannel) settings.headers = editedChannel.settings.headers;
  return { name: channelForm.elements.namedItem("name").value, settings };
}

function list(text) {
  return text.split(/[,\n]/).map((one) => one.trim()).filter(Boolean);
}

function checks(name, options, chosen) {
  return options.map(([value, text]) => element("label", {},
    element("input", { type: "checkbox", name, value, checked: chosen.includes(value) }), ` ${text}`));
}

function editRule(rule) {
  editedRule = rule;
  ruleForm.reset();
  place("rule-title").textContent = rule ? `Edit ${rule.name}` : "Add a rule";
  place("rule-events").replaceChildren(...checks("events", EVENTS.map((one) => [one, words(one)]), rule?.events || []));
  place("rule-severities").replaceChildren(...checks("severities", SEVERITIES.map((one) => [one, one]), rule?.severities || []));
  place("rule-channels").replaceChildren(...checks("channel_ids", channels.map((one) => [one.id, one.name]),
    rule?.channel_ids || (channels.length === 1 ? [channels[0].id] : [])));
  if (rule) {
    for (const name of ["name", "wait"]) ruleForm.elements.namedItem(name).value = rule[name];
    ruleForm.elements.namedItem("repeat").value = rule.repeat / 60;
    for (const name of ["sites", "agents", "tests", "group_by"]) ruleForm.elements.namedItem(name).value = rule[name].join(", ");
    ruleForm.elements.namedItem("tell_closed").checked = rule.tell_closed;
  }
  ruleForm.hidden = false;
  ruleForm.elements.namedItem("name").focus();
}

function ruleBody() {
  const ticked = (name) => [...ruleForm.querySelectorAll(`[name=${name}]:checked`)].map((box) => box.value);
  const text = (name) => ruleForm.elements.namedItem(name).value;
  return {
    name: text("name"), events: ticked("events"), severities: ticked("severities"), channel_ids: ticked("channel_ids"),
    sites: list(text("sites")), agents: list(text("agents")), tests: list(text("tests")), group_by: list(text("group_by")),
    wait: Number(text("wait")), repeat: Number(text("repeat")) * 60, tell_closed: ruleForm.elements.namedItem("tell_closed").checked,
  };
}

async function submit(form, place_, work) {
  place_.hidden = true;
  try {
    const made = await work();
    form.hidden = true;
    showProblem(null);
    if (made?.signing_secret) {
      place("secret-value").textContent = made.signing_secret;
      place("secret").hidden = false;
    }
    await load();
  } catch (problem) {
    place_.textContent = problem.message;
    place_.hidden = false;
  }
}

channelForm.kind.addEventListener("change", drawKind);
ready("add-channel", () => editChannel(null));
place("add-rule")?.addEventListener("click", () => editRule(null));
for (const form of [channelForm, ruleForm]) {
  form.querySelector("[data-cancel]").addEventListener("click", () => { form.hidden = true; });
}
onSubmit(channelForm, () => {
  const body = channelBody();
  return submit(channelForm, place("channel-problem"), () => (editedChannel
    ? api.patch(`/channels/${editedChannel.id}`, body, etag) : api.post("/channels", body)));
});
onSubmit(ruleForm, () => {
  const body = ruleBody();
  return submit(ruleForm, place("rule-problem"), () => (editedRule ? api.patch(`/rules/${editedRule.id}`, body, etag) : api.post("/rules", body)));
});
place("secret-done").addEventListener("click", () => { place("secret").hidden = true; place("secret-value").textContent = ""; });

await load().catch(showProblem);
setInterval(() => { if (!document.hidden) load().catch(() => null); }, 5000);
