// Steered against unsteered pictures. Value: {seeds, before, after, difference, gain, notices}, {facts, rows, headers, rows_note},
// {message} or {busy, done, total, message}.
const F = window.Fulcrum;
const root = element.querySelector(".fc-root");
root.classList.add("fc-pictures");
const status = F.el("div", "fc-status"), body = F.el("div", "fc-pictures-body");
F.add(root, status, body);
let shown = null, seed = 0;

function picture(address, title, note, id) {
  const image = F.el("img");
  image.src = address;
  image.alt = title;
  if (id) image.id = id;
  return F.add(F.el("figure", "fc-picture"), image, F.add(F.el("figcaption"), F.el("b", "", title), note ? F.el("span", "fc-note", note) : null));
}

function seeds() {
  if (shown.seeds.length < 2) return null;
  const strip = F.el("div", "fc-seeds");
  strip.setAttribute("role", "group");
  strip.setAttribute("aria-label", "Seeds");
  shown.seeds.forEach((number, at) => {
    const button = F.button(`fc-seed${at === seed ? " is-on" : ""}`, "", () => { seed = at; draw(); }, `Seed ${number}`);
    button.setAttribute("aria-pressed", String(at === seed));
    const pair = F.el("span", "fc-seed-pair");
    for (const address of [shown.before[at], shown.after[at]]) { const image = F.el("img"); image.src = address; image.alt = ""; pair.appendChild(image); }
    F.add(button, pair, F.el("span", "", `seed ${number}`));
    strip.appendChild(button);
  });
  return strip;
}

function figures(facts) {
  const list = F.el("dl", "fc-figures");
  for (const fact of facts) {
    const cell = F.add(F.el("div", "fc-figure"), F.el("dt", "", fact.name), F.el("dd", "", fact.value));
    if (fact.note) F.add(cell, F.el("dd", "fc-note", fact.note));
    list.appendChild(cell);
  }
  return list;
}

function number(text, name) {
  const cell = F.el("td", "fc-num", text);
  cell.dataset.name = name;
  return cell;
}

function controls(rows) {
  const table = F.el("table", "fc-table"), head = F.el("tr"), lines = F.el("tbody");
  for (const text of shown.headers) F.add(head, F.el("th", "", text));
  for (const row of rows) {
    const image = F.el("img", "fc-thumb");
    image.src = row.picture;
    image.alt = row.name;
    const name = F.add(F.el("th"), F.el("b", "", row.name), row.note ? F.el("div", "fc-note", row.note) : null);
    F.add(lines, F.add(F.el("tr", row.main ? "is-main" : ""), F.add(F.el("td"), image), name, ...row.cells.map((cell, at) => number(cell, shown.headers[at + 2]))));
  }
  return F.add(F.el("div", "fc-scroll"), F.add(table, F.add(F.el("thead"), head), lines));
}

function compared() {
  seed = Math.min(seed, shown.seeds.length - 1);
  for (const notice of shown.notices) F.add(body, F.add(F.el("div", "fc-warning"), F.el("b", "", "!"), F.el("span", "", notice)));
  F.add(body, seeds());
  const brighter = shown.gain > 1.05 ? `${F.number(shown.gain, 2)} times brighter` : "";
  F.add(body, F.add(F.el("div", "fc-triple"),
    picture(shown.before[seed], "Unsteered", `seed ${shown.seeds[seed]}`, "picture-before"),
    picture(shown.after[seed], "Steered", "", "picture-after"),
    picture(shown.difference[seed], "Difference", brighter, "picture-difference")));
  body.dataset.rmse = String(shown.rmse[seed]);
  body.dataset.run = shown.run;
}

function draw() {
  body.replaceChildren();
  if (shown && shown.before) compared();
  if (shown && shown.facts) F.add(body, figures(shown.facts));
  if (shown && shown.rows && shown.rows.length) {
    F.add(body, F.add(F.el("h4", "fc-rows-title", "Against controls"), F.el("span", "fc-note", shown.rows_note)), controls(shown.rows));
  }
}

function tell(value) {
  status.replaceChildren();
  root.classList.toggle("is-busy", Boolean(value.busy));
  if (value.busy && value.total) {
    const bar = F.el("progress");
    Object.assign(bar, { max: value.total, value: value.done });
    bar.setAttribute("aria-label", "Progress");
    F.add(status, bar);
  }
  if (value.message) F.add(status, F.el("div", value.failed ? "fc-warning" : value.busy || shown ? "fc-note" : "fc-empty", value.message));
}

function update() {
  const value = props.value || {};
  if (value.before || value.facts) { shown = value; draw(); }
  tell(value);
}

watch("value", update);
update();
