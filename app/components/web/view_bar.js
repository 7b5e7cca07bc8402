// The graph's toolbar in one line. Value: the view (see app/components/view_bar.py); props: levels [name], kinds [name].
const F = window.Fulcrum;
const root = element.querySelector(".fc-root");
root.classList.add("fc-toolbar");
root.setAttribute("role", "toolbar");
root.setAttribute("aria-label", "What the graph shows");
let timer = null;

function set(change, wait) {
  clearTimeout(timer);
  const next = { ...props.value, ...change };
  timer = setTimeout(() => { props.value = next; paint(); }, wait || 0);
}

function field(text, ...inputs) {
  return F.add(F.el("label", "fc-field"), F.el("span", "", text), ...inputs);
}

function input(type, id, attributes) {
  const node = F.el("input");
  node.type = type;
  node.id = id;
  for (const [name, value] of Object.entries(attributes || {})) node.setAttribute(name, value);
  return node;
}

const search = input("search", "graph-search", { placeholder: "label, id or token", "aria-label": "Search concepts" });
search.addEventListener("input", () => set({ search: search.value.slice(0, 80) }, 250));
const levels = F.el("span", "fc-toggles");
const effect = input("range", "graph-effect", { min: 0, max: 3, step: 0.05, "aria-label": "Smallest absolute effect shown" });
const effectText = F.el("output", "fc-out");
effect.addEventListener("input", () => { effectText.textContent = F.number(+effect.value); set({ min_effect: +effect.value }, 150); });
const top = input("number", "graph-top", { min: 1, max: 40, step: 1, "aria-label": "Strongest edges per concept" });
top.addEventListener("change", () => set({ top_k: Math.max(1, Math.min(40, Math.round(+top.value) || 6)) }));
const kinds = F.el("span", "fc-toggles");
const reset = F.button("fc-quiet", "Reset", () => set({ ...props.defaults }), "Reset the view");
reset.id = "graph-reset";

function toggle(id, text, on, title, change) {
  const node = F.button("fc-toggle" + (on ? " is-on" : ""), text, change);
  node.id = id;
  node.title = title;
  node.setAttribute("aria-pressed", String(on));
  return node;
}

function paint() {
  const value = props.value || {};
  if (document.activeElement !== search) search.value = value.search || "";
  effect.value = value.min_effect ?? 0;
  effectText.textContent = F.number(value.min_effect ?? 0);
  top.value = value.top_k ?? 6;
  levels.replaceChildren(...(props.levels || []).map((name, at) => {
    const chosen = value.levels || [];
    const on = !chosen.length || chosen.includes(name);
    return toggle(`graph-level-${at}`, name, on, `Show or hide level ${name}`, () => {
      const now = (chosen.length ? chosen : props.levels).filter((other) => other !== name);
      const next = on ? now : props.levels.filter((other) => other === name || chosen.includes(other));
      set({ levels: next.length === props.levels.length || !next.length ? [] : next });
    });
  }));
  kinds.replaceChildren(...[
    ["composed", "Effect left when the direct residual path is held: the blocks in between compute it"],
    ["carried", "Real, but the residual path alone explains it"],
    ["unsupported", "Proposed edges that the interventions do not support, and untested ones"],
    ["untested", "Proposed edges; no intervention tested any of this graph", "unsupported"],
  ].filter(([kind]) => props.kinds.includes(kind)).map(([kind, title, key = kind]) =>
    toggle(`graph-${kind}`, kind, Boolean(value[key]), title, () => set({ [key]: !value[key] }))));
}

F.add(root, search, F.add(F.el("span", "fc-field"), F.el("span", "", "levels"), levels), field("|effect| ≥", effect, effectText),
  field("top", top), F.add(F.el("span", "fc-field"), F.el("span", "", "edges"), kinds), reset);
watch(["value", "levels", "kinds"], paint);
paint();
