// Levers with their strength. Value: {levers: [lever]}; props: operations [{name, sentence, low, high, start, needs}],
// shares {key: share at strength 1}, concepts {level: [[latent, label]]}, kind (text, pictures or rows), guidance (a scale).
// The value is the truth: it is sent with every event that uses the rack, and no slider holds state of its own.
const F = window.Fulcrum;
const root = element.querySelector(".fc-root");
root.classList.add("fc-rack");

const WHERE = [["all", "prompt and generated"], ["generated", "generated text"], ["prompt", "prompt"]];
const BRANCH = [["cond", "with the prompt"], ["uncond", "without the prompt"], ["both", "both branches"]];

function pictures() {
  return props.kind === "pictures";
}

// Latents of a representation: no places, no norm of an activation; their unit is a standard deviation.
function rows() {
  return props.kind === "rows";
}

// Guidance adds up uncond + g (cond - uncond): what a strength on one branch comes to in the end.
function effective(lever, strength) {
  const g = props.guidance;
  if (!pictures() || !Number.isFinite(g)) return null;
  return strength * { cond: g, uncond: 1 - g, both: 1 }[lever.branch || "cond"];
}

function place(lever) {
  const noise = lever.noise ? `noise ${lever.noise[1].toFixed(2)} to ${lever.noise[0].toFixed(2)}` : "noise of its level";
  return `${noise}, ${lever.cells ? "where painted" : "whole picture"}`;
}

function levers() {
  return (props.value && props.value.levers) || [];
}

function commit(next) {
  props.value = { ...(props.value || {}), levers: next };
}

function change(key, fields) {
  commit(levers().map((lever) => (lever.key === key ? { ...lever, ...fields } : lever)));
}

function choose(id, label, options, value, onChange) {
  const select = F.el("select", "fc-select");
  select.id = id;
  select.setAttribute("aria-label", label);
  for (const [name, text, title] of options) {
    const option = F.el("option", "", text);
    option.value = name;
    if (title) option.title = title;
    select.appendChild(option);
  }
  select.value = value;
  select.addEventListener("change", () => onChange(select.value));
  return select;
}

function operation(name) {
  return (props.operations || []).find((item) => item.name === name) || { name, sentence: "", low: 0, high: 2 };
}

function shareText(lever, strength) {
  if (rows()) return { text: "in standard deviations of the latent", over: false };
  const unit = (props.shares || {})[lever.key];
  const norm = pictures() ? "activation" : "residual norm";
  if (!Number.isFinite(unit)) return { text: `share of the ${norm}: shown after a run`, over: false };
  const share = Math.abs(unit * strength);
  return { text: `${Math.round(share * 100)} % of the ${norm}`, over: share > 0.5 };
}

// What an operation needs besides a strength: the latent a swap moves to, the text a patch copies from.
function needed(lever, how, at) {
  if (how.needs === "target") {
    const others = ((props.concepts || {})[lever.level] || []).filter(([latent]) => `${lever.level}/${latent}` !== lever.concept);
    const options = [["", "choose a concept…"], ...others.map(([latent, label]) => [String(latent), `${label} (${lever.level}/${latent})`])];
    const target = choose(`lever-target-${at}`, `Where the activation of ${lever.label} is moved to`, options, String(lever.target ?? ""),
      (latent) => change(lever.key, { target: latent === "" ? null : Number(latent) }));
    return F.add(F.el("label", "fc-field"), F.el("span", "", "to"), target);
  }
  if (how.needs !== "donor") return null;
  const donor = F.el("input", "fc-donor");
  Object.assign(donor, { type: "text", id: `lever-donor-${at}`, value: lever.donor || "", maxLength: 4000, placeholder: pictures() ? "a prompt to copy from" : "a text to copy from" });
  donor.setAttribute("aria-label", `${pictures() ? "Prompt" : "Text"} that ${lever.label} is copied from`);
  donor.addEventListener("change", () => change(lever.key, { donor: donor.value }));
  return F.add(F.el("label", "fc-field"), F.el("span", "", "from"), donor);
}

// One lever may move a concept together with the latents that rise where it is on.
function together(lever, at) {
  const others = lever.companions || {}, names = Object.keys(others), moved = Object.keys(lever.weights || {}).length;
  if (!names.length) return moved > 1 ? F.el("div", "fc-note", `${moved} latents, each with its own weight`) : null;
  const own = lever.concept.split("/")[1];
  const box = F.el("input");
  Object.assign(box, { type: "checkbox", id: `lever-companions-${at}`, checked: moved > 1 });
  box.addEventListener("change", () => { change(lever.key, { weights: box.checked ? { [own]: 1, ...others } : {} }); draw(); });
  const label = F.add(F.el("label", "fc-field"), box, F.el("span", "", `with ${names.length} companion${names.length > 1 ? "s" : ""}`));
  const called = new Map((props.concepts || {})[lever.level] || []);
  label.title = names.map((name) => `${called.get(Number(name)) ?? name}: weight ${others[name]}`).join("\n");
  return label;
}

function row(lever, at) {
  const box = F.el("div", "fc-lever");
  box.dataset.key = lever.key;
  const title = F.el("div", "fc-lever-title");
  F.add(title, F.el("span", `fc-level fc-level-${lever.level_index ?? 0}`, lever.level), F.el("b", "", lever.label),
    F.el("span", "fc-id", lever.concept || ""),
    F.button("fc-remove", "×", () => { commit(levers().filter((other) => other.key !== lever.key)); draw(); }, `Remove the lever ${lever.label}`));
  const how = operation(lever.operation);
  const low = Math.min(how.low, lever.strength), high = Math.max(how.high, lever.strength);
  const slider = F.el("input");
  Object.assign(slider, { type: "range", id: `lever-strength-${at}`, min: low, max: high, step: 0.05, value: lever.strength });
  slider.setAttribute("aria-label", `Strength of ${lever.label}, in ${rows() ? "standard deviations" : "typical activations"}`);
  const exact = F.el("input", "fc-exact");
  Object.assign(exact, { type: "number", id: `lever-exact-${at}`, min: -8, max: 8, step: 0.05, value: lever.strength });
  exact.setAttribute("aria-label", `Exact strength of ${lever.label}`);
  const share = F.el("span", "fc-share");
  const paintShare = (strength) => {
    const { text, over } = shareText(lever, strength);
    const reached = effective(lever, strength);
    const more = reached === null ? "" : `, effective strength ${F.number(reached, 2)}`;
    const breaks = pictures() ? ": above one half it is held back" : ": above one half the text usually breaks";
    share.textContent = (over ? text + breaks : text) + more;
    share.classList.toggle("is-over", over);
  };
  paintShare(lever.strength);
  slider.addEventListener("input", () => { exact.value = slider.value; paintShare(+slider.value); });
  slider.addEventListener("change", () => change(lever.key, { strength: +slider.value }));
  exact.addEventListener("change", () => {
    const strength = Math.max(-8, Math.min(8, Number(exact.value)));
    change(lever.key, { strength: Number.isFinite(strength) ? strength : 0 });
    draw();
  });
  const controls = F.add(F.el("div", "fc-lever-controls"),
    choose(`lever-operation-${at}`, `What ${lever.label} does`, (props.operations || []).map((o) => [o.name, o.name, o.sentence]), lever.operation,
      (name) => { change(lever.key, { operation: name, strength: operation(name).start ?? 1 }); draw(); }),
    slider, exact,
    pictures()
      ? choose(`lever-branch-${at}`, `Guidance branch ${lever.label} acts on`, BRANCH, lever.branch || "cond", (branch) => { change(lever.key, { branch }); draw(); })
      : rows() ? null : choose(`lever-where-${at}`, `Where ${lever.label} acts`, WHERE, lever.where, (where) => change(lever.key, { where })));
  if (how.needs === "aim") {
    const aim = F.el("input", "fc-exact");
    Object.assign(aim, { type: "number", id: `lever-aim-${at}`, min: 0, max: 8, step: 0.1, value: lever.aim ?? 1 });
    aim.setAttribute("aria-label", `Level ${lever.label} is moved to, in typical activations`);
    aim.addEventListener("change", () => change(lever.key, { aim: Math.max(0, Math.min(8, Number(aim.value) || 0)) }));
    title.insertBefore(F.add(F.el("label", "fc-field"), F.el("span", "", "to level"), aim), title.lastChild);
  }
  F.add(box, title, controls, needed(lever, how, at), together(lever, at), F.add(F.el("div", "fc-lever-foot"), share, pictures() ? F.el("span", "fc-note", place(lever)) : null, F.el("span", "fc-note", how.sentence)));
  return box;
}

function draw() {
  root.replaceChildren();
  const now = levers();
  if (!now.length) {
    F.add(root, F.el("div", "fc-empty", "No lever yet. On the Graph page click a concept and press “+ lever”; of a probe without a graph, choose a latent above."));
    return;
  }
  now.forEach((lever, at) => root.appendChild(row(lever, at)));
}

watch(["value", "operations", "shares", "concepts", "kind", "guidance"], () => {
  // While a person drags a slider the answer about shares must not rebuild the row under the pointer.
  if (root.contains(document.activeElement) && document.activeElement.matches(":active")) return;
  const focused = document.activeElement && root.contains(document.activeElement) ? document.activeElement.id : null;
  draw();
  if (focused) root.querySelector(`#${CSS.escape(focused)}`)?.focus();
});
draw();
