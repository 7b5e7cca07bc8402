// The inspector: one concept with its evidence. Value: see app/pages/inspect.py.
const F = window.Fulcrum;
const root = element.querySelector(".fc-root");
root.classList.add("fc-card");

function heading(value) {
  const head = F.el("div", "fc-card-head");
  const line = F.el("div", "fc-eyebrow");
  F.add(line, F.el("span", `fc-level fc-level-${value.level_index}`, value.level), F.el("span", "fc-id", value.id));
  const name = F.el("input", "fc-label");
  name.id = "concept-label";
  name.value = value.label;
  name.maxLength = 120;
  name.setAttribute("aria-label", "Label of the concept; edit and press Enter to keep it");
  name.title = "Edit the label, Enter keeps it";
  const keep = () => {
    const label = name.value.trim();
    if (label !== value.label) trigger("label_save", { id: value.id, label });
  };
  name.addEventListener("keydown", (event) => {
    if (event.key === "Enter") name.blur();
    if (event.key === "Escape") { name.value = value.label; name.blur(); }
  });
  name.addEventListener("blur", keep);
  const lever = F.button("fc-primary", value.is_lever ? "✓ lever" : "+ lever", () => trigger("lever_add", { id: value.id }), "Add this concept as a lever");
  lever.id = "add-lever";
  const row = F.add(F.el("div", "fc-card-title"), name, lever);
  F.add(head, line, row);
  if (value.edited) F.add(head, F.el("div", "fc-note", `Your label. Made by the workbench: ${value.original}`));
  return head;
}

function figures(items) {
  const list = F.el("dl", "fc-figures");
  for (const item of items) {
    const cell = F.el("div", "fc-figure");
    F.add(cell, F.el("dt", "", item.name), F.el("dd", "", item.value));
    if (item.note) F.add(cell, F.el("dd", "fc-note", item.note));
    if (item.help) cell.title = item.help;
    list.appendChild(cell);
  }
  return list;
}

function edges(title, hint, items, more) {
  const box = F.el("section", "fc-edges");
  F.add(box, F.add(F.el("h4", "", title), F.el("span", "fc-note", hint)));
  if (!items.length) return F.add(box, F.el("div", "fc-note", "none in this graph"));
  const reach = Math.max(0.5, ...items.flatMap((e) => [Math.abs(e.low ?? 0), Math.abs(e.high ?? 0), e.null95 ?? 0]).filter(Number.isFinite));
  for (const edge of items) {
    const row = F.button(`fc-edge is-${edge.verdict}`, "", () => trigger("concept_open", { id: edge.id }), `${edge.label}: ${edge.verdict}, effect ${F.number(edge.effect)}`);
    row.dataset.concept = edge.id;
    const numbers = Number.isFinite(edge.effect) && edge.effect !== null
      ? `${F.signed(edge.effect)} [${F.number(edge.low, 2)}, ${F.number(edge.high, 2)}]`
      : "not tested";
    F.add(row, F.el("span", "fc-edge-label", edge.label), F.interval(edge, reach),
      F.el("span", "fc-edge-numbers", numbers), F.el("span", `fc-verdict is-${edge.verdict}`, edge.verdict));
    row.title = edge.detail;
    box.appendChild(row);
  }
  if (more) F.add(box, F.el("div", "fc-note", more));
  return box;
}

function examples(value) {
  const box = F.el("section", "fc-examples");
  F.add(box, F.add(F.el("h4", "", "Strongest examples"), F.el("span", "fc-note", "hover a token for its code")));
  if (!value.examples.length) return F.add(box, F.el("div", "fc-note", "none kept in this graph"));
  const scale = Math.max(...value.examples.flatMap((e) => e.tokens.map((t) => Math.abs(t.value ?? 0))), 1e-9);
  for (const example of value.examples) {
    const item = F.el("div", "fc-example");
    F.add(item, F.strip(example.tokens, { scale, label: `Example from ${example.document}` }), F.el("div", "fc-source", example.source));
    box.appendChild(item);
  }
  return box;
}

function words(title, hint, tokens, sign) {
  const box = F.el("section", "fc-words");
  F.add(box, F.add(F.el("h4", "", title), F.el("span", "fc-note", hint)));
  if (!tokens.length) return F.add(box, F.el("div", "fc-note", "not measured"));
  const line = F.el("div", "fc-wordline");
  for (const token of tokens) {
    const word = F.el("span", `fc-word is-${sign}`, token.shown);
    word.dataset.tip = `${token.shown}  ${F.signed(token.score)}`;
    line.appendChild(word);
  }
  return F.add(box, line);
}

function draw() {
  const value = props.value || {};
  root.replaceChildren();
  if (!value.id) {
    F.add(root, F.el("div", "fc-empty", value.message || "Click a concept to see its evidence."));
    return;
  }
  F.add(root, heading(value), figures(value.figures),
    edges("Made of", "edges from the level below", value.children, value.children_more),
    edges("Part of", "edges to the level above", value.parents, value.parents_more));
  if (value.null_note) F.add(root, F.el("p", "fc-note", value.null_note));
  F.add(root, examples(value),
    words("Promoted tokens", "made likelier by the decoder row", value.promoted, "pos"),
    words("Suppressed tokens", "made less likely", value.suppressed, "neg"));
  root.scrollTop = 0;
}

watch("value", draw);
draw();
