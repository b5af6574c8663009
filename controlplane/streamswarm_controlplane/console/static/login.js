import { api, showProblem } from "./api.js";

const form = document.getElementById("form");

// Only a path of this site, as the browser reads it: in a URL it leaves out tabs, and takes a backslash for a slash.
function destination() {
  const next = new URLSearchParams(location.search).get("next") || "/";
  const url = URL.canParse(next, location.origin) ? new URL(next, location.origin) : null;
  return next.startsWith("/") && url?.origin === location.origin ? url : new URL("/", location.origin);
}

const oidc = document.getElementById("oidc");
if (oidc) oidc.href += `?${new URLSearchParams({ next: destination().pathname + destination().search })}`;

form.addEventListener("submit", async (event) => {
  event.preventDefault();
  showProblem(null);
  const button = form.querySelector("button");
  button.disabled = true;
  try {
    const user = await api.post("/auth/login", { username: form.username.value, password: form.password.value });
    location.assign(user.must_change_password ? "/password" : destination());
  } catch (problem) {
    showProblem(problem);
    form.password.value = "";
    form.password.focus();
  } finally {
    button.disabled = false;
  }
});
