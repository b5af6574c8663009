import { api, showProblem } from "./api.js";
import { element } from "./dom.js";
import { formatAge, formatMoment, formatSeconds } from "./format.js";

const form = document.getElementById("form");
const mayChange = Boolean(document.getElementById("add"));
const ICONS = { online: "✓", late: "◌", offline: "✕", revoked: "✕", "never seen": "…" };

async function load() {
  const agents = await api.all("/agents");
  document.getElementById("rows").replaceChildren(...agents.map(row));
  document.getElementById("empty").hidden = agents.length > 0;
}

function row(agent) {
  const seen = agent.last_seen_at ? Date.parse(agent.last_seen_at) : null;
  return element("tr", { "data-agent": agent.name },
    element("td", {}, element("span", { class: `state ${agent.state.split(" ")[0]}` },
      element("span", { "aria-hidden": "true" }, ICONS[agent.state]), agent.state)),
    element("td", {}, agent.name), element("td", {}, agent.site || "–"), element("td", {}, agent.version || "–"),
    element("td", {}, seen ? element("time", { title: formatMoment(seen) }, formatAge(seen)) : "never"),
    element("td", { class: "number" }, agent.clock_offset === null ? "–" : formatSeconds(agent.clock_offset)),
    element("td", { class: "number" }, String(agent.queued_points)),
    element("td", {}, agent.host.hostname || "–",
      element("span", { class: "sub" }, [agent.host.system, agent.host.release].filter(Boolean).join(" "))),
    element("td", { class: "actions" }, mayChange && agent.state !== "revoked"
      ? element("button", { class: "quiet small", type: "button", onclick: () => revoke(agent) }, "Shut out") : null));
}

async function revoke(agent) {
  if (!confirm(`Shut ${agent.name} out? Its points are refused from now on; its data stay.`)) return;
  await api.post(`/agents/${agent.id}/revoke`);
  await load();
}

document.getElementById("add")?.addEventListener("click", () => { form.hidden = false; form.site.focus(); });
form.addEventListener("reset", () => { form.hidden = true; showProblem(null); });
form.addEventListener("submit", async (event) => {
  event.preventDefault();
  showProblem(null);
  try {
    const token = await api.post("/enrolment-tokens", { site: form.site.value, agent_name: form.agent_name.value });
    document.getElementById("command").textContent = token.command;
    document.getElementById("expires").textContent = new Date(token.expires_at).toLocaleString();
    document.getElementById("token").hidden = false;
    form.hidden = true;
  } catch (problem) {
    showProblem(problem);
  }
});
document.getElementById("copy").addEventListener("click", async (event) => {
  await navigator.clipboard.writeText(document.getElementById("command").textContent);
  event.target.textContent = "Copied";
});

await load();
setInterval(() => load().catch(() => null), 5000);
