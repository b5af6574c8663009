import { api, showProblem } from "./api.js";

const form = document.getElementById("form");

form.addEventListener("submit", async (event) => {
  event.preventDefault();
  showProblem(null);
  if (form.new.value !== form.again.value) {
    showProblem(new Error("The two new passwords differ."));
    form.again.focus();
    return;
  }
  try {
    await api.post("/auth/password", { old_password: form.old.value, new_password: form.new.value });
    location.assign("/");
  } catch (problem) {
    showProblem(problem);
  }
});
