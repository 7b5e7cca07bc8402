// Steered against unsteered text. Value: {unsteered, steered, damage, facts, rows, notices} or {message} or {busy}.
const F = window.Fulcrum;
const root = element.querySelector(".fc-root");
root.classList.add("fc-compare");

function column(side, title, cls) {
  const box = F.el("section", `fc-text ${cls}`);
  F.add(box, F.add(F.el("h4", "", title), F.el("span", "fc-note", side.hint || "")));
  F.add(box, F.strip(side.tokens, { label: title, scale: side.scale, signed: true }));
  if (side.note) F.add(box, F.el("div", "fc-note", side.note));
  return box;
}

function controls(rows) {
  const table = F.el("table", "fc-table");
  const head = F.el("tr");
  for (const text of ["", "continuation", "damage, nats per token"]) F.add(head, F.el("th", "", text));
  F.add(table, F.add(F.el("thead"), head));
  const body = F.el("tbody");
  for (const row of rows) {
    const line = F.el("tr", row.main ? "is-main" : "");
    const name = F.add(F.el("th"), F.el("b", "", row.name));
    if (row.note) F.add(name, F.el("div", "fc-note", row.note));
    const damage = F.el("td", "fc-num", F.signed(row.damage));
    damage.dataset.name = "damage";
    F.add(line, name, F.el("td", "fc-row-text", row.text), damage);
    body.appendChild(line);
  }
  return F.add(F.el("div", "fc-scroll"), F.add(table, body));
}

function draw() {
  const value = props.value || {};
  root.replaceChildren();
  root.classList.toggle("is-busy", Boolean(value.busy));
  if (value.message) F.add(root, F.el("div", value.failed ? "fc-warning" : "fc-empty", value.message));
  if (!value.steered) return;
  for (const notice of value.notices || []) F.add(root, F.add(F.el("div", "fc-warning"), F.el("b", "", "!"), F.el("span", "", notice)));
  F.add(root, F.add(F.el("div", "fc-columns"), column(value.unsteered, "Unsteered", "is-unsteered"), column(value.steered, "Steered", "is-steered")));
  if (value.facts && value.facts.length) {
    const facts = F.el("dl", "fc-figures");
    for (const fact of value.facts) {
      const cell = F.add(F.el("div", "fc-figure"), F.el("dt", "", fact.name), F.el("dd", "", fact.value));
      if (fact.note) F.add(cell, F.el("dd", "fc-note", fact.note));
      facts.appendChild(cell);
    }
    root.appendChild(facts);
  }
  if (value.rows && value.rows.length) {
    F.add(root, F.add(F.el("h4", "fc-rows-title", "Against controls"), F.el("span", "fc-note", value.rows_note || "")), controls(value.rows));
  }
}

watch("value", draw);
draw();
