import { api, showProblem } from "./api.js";

const form = document.getElementById("form");

// Only a path of this site: one slash, then something that is no slash or backslash.
function destination() {
  const next = new URLSearchParams(location.search).get("next") || "/";
  return /^\/($|[^/\\])/.test(next) ? next : "/";
}

const oidc = document.getElementById("oidc");
if (oidc) oidc.href += `?${new URLSearchParams({ next: destination() })}`;

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
