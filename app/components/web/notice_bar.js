// Warnings, and a hint in steps that stays away once dismissed. Value: {hint: {key, steps}, warnings, title, note}.
const F = window.Fulcrum;
const root = element.querySelector(".fc-root");
root.classList.add("fc-notices");

function dismissed(key) {
  try { return window.localStorage.getItem(`fulcrum-hint-${key}`) === "done"; } catch { return false; }
}

function draw() {
  const value = props.value || {};
  root.replaceChildren();
  if (value.hint && !dismissed(value.hint.key)) {
    const box = F.el("div", "fc-hint");
    box.id = "first-steps";
    value.hint.steps.forEach((step, at) => F.add(box, F.add(F.el("span", "fc-step"), F.el("b", "", at + 1), F.el("span", "", step))));
    F.add(box, F.button("fc-quiet", "Got it", () => {
      try { window.localStorage.setItem(`fulcrum-hint-${value.hint.key}`, "done"); } catch { /* private mode: it returns next time */ }
      box.remove();
    }, "Dismiss the hint"));
    root.appendChild(box);
  }
  for (const warning of value.warnings || []) {
    const line = F.add(F.el("div", "fc-warning"), F.el("b", "", "!"), F.el("span", "", warning));
    line.setAttribute("role", "note");
    root.appendChild(line);
  }
  for (const text of value.notes || []) F.add(root, F.el("div", "fc-note", text));
}

watch("value", draw);
draw();
