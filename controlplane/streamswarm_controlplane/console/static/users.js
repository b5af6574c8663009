import { api } from "./api.js";
import { action, ask, choice, edit, field, moment, reveal } from "./dialogs.js";
import { element, ready } from "./dom.js";

const ROLES = [["viewer", "viewer – sees everything"], ["operator", "operator – changes tests and agents"], ["admin", "admin – manages users and tokens"]];
let me = null;
let users = [];

async function load() {
  [users, me] = await Promise.all([api.all("/users"), api.get("/auth/me")]);
  draw();
}

function draw() {
  const wanted = document.getElementById("search").value.trim().toLowerCase();
  const shown = users.filter((user) => `${user.username} ${user.display_name} ${user.email} ${user.role}`.toLowerCase().includes(wanted));
  document.getElementById("rows").replaceChildren(...shown.map(row));
  document.getElementById("empty").hidden = shown.length > 0;
}

function state(user) {
  if (!user.active) return ["down", "✕ deactivated"];
  if (user.blocked_until) return ["late", "◌ has to wait"];
  return user.must_change_password ? ["pending", "… password to be changed"] : ["up", "✓ active"];
}

function row(user) {
  const [kind, text] = state(user);
  const self = user.id === me.id;
  const failed = user.failed_logins ? element("span", { class: "sub" }, `${user.failed_logins} failed since`) : null;
  return element("tr", { "data-user": user.username },
    element("td", { class: "wide" }, user.username, " ", self ? element("span", { class: "label" }, "you") : null,
      element("span", { class: "sub" }, user.display_name)),
    element("td", { class: "wide" }, user.email || "–"), element("td", {}, user.role),
    element("td", {}, element("span", { class: `state ${kind}` }, text)),
    element("td", {}, moment(user.last_login_at), failed),
    element("td", { class: "actions" },
      action("Edit", () => change(user, self)),
      action("Reset password", () => reset(user)),
      user.blocked_until || user.failed_logins ? action("Unlock", () => act(() => api.post(`/users/${user.id}/unlock`))) : null,
      action("Log out", () => endSessions(user)),
      self ? null : user.active ? action("Deactivate", () => deactivate(user)) : action("Activate", () => act(() => api.patch(`/users/${user.id}`, { active: true }))),
      self ? null : action("Delete", () => remove(user))));
}

async function act(run) {
  await run();
  await load();
}

function fields(user) {
  return [
    field("User name", { name: "username", value: user.username, required: true, maxlength: 64, autocomplete: "off" }),
    field("Full name", { name: "display_name", value: user.display_name, maxlength: 100, autocomplete: "off" }),
    field("E-mail", { name: "email", type: "email", value: user.email, maxlength: 254, autocomplete: "off" }),
  ];
}

function values(form) {
  return { username: form.username.value, display_name: form.display_name.value, email: form.email.value };
}

async function change({ id }, self) {
  const { body: user, etag } = await api.read(`/users/${id}`);
  const role = self ? [] : [choice("Role", "role", ROLES, user.role)];
  edit(`Edit ${user.username}`, [...fields(user), ...role], (form) => act(() =>
    api.patch(`/users/${user.id}`, { ...values(form), ...(self ? {} : { role: form.role.value }) }, etag)));
}

function add() {
  edit("Add a user", [...fields({ username: "", display_name: "", email: "" }), choice("Role", "role", ROLES, "viewer")], async (form) => {
    const made = await api.post("/users", { ...values(form), role: form.role.value });
    reveal(`The password of ${made.username}`, made.password, "Shown only now. It has to be changed at the first login.");
    await load();
  }, "Add");
}

async function reset(user) {
  if (!await ask(`Give ${user.username} a new password? Their sessions end, and their tokens rest until it is changed.`, "Reset")) return;
  const made = await api.post(`/users/${user.id}/reset-password`);
  reveal(`The new password of ${user.username}`, made.password, "Shown only now. It has to be changed at the next login.");
  await load();
}

async function deactivate(user) {
  const question = `Deactivate ${user.username}? Sessions end, and personal tokens rest until ${user.username} is activated again.`;
  if (await ask(question, "Deactivate")) await act(() => api.patch(`/users/${user.id}`, { active: false }));
}

async function endSessions(user) {
  if (await ask(`Log ${user.username} out everywhere?`, "Log out")) await act(() => api.delete(`/users/${user.id}/sessions`));
}

async function remove(user) {
  if (await ask(`Delete ${user.username}? Sessions and personal tokens go, too; what they did stays in the audit log.`, "Delete")) {
    await act(() => api.delete(`/users/${user.id}`));
  }
}

ready("add", add);
document.getElementById("search").addEventListener("input", draw);
await load();
