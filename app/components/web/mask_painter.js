// Cells painted over a picture. Value: {on, rows, columns, cells}; props: picture, ratio (width / height), finest.
// The value is the truth; the canvas only shows it.
const F = window.Fulcrum;
const root = element.querySelector(".fc-root");
root.classList.add("fc-painter");
let tool = 1, size = 3, pointer = { row: 0, column: 0, shown: false }, image = null, drawing = false, cells = [];

function shape() {
  const ratio = Number(props.ratio) > 0 ? Number(props.ratio) : 1, finest = props.finest || 32;
  return { rows: Math.max(1, Math.round(finest / Math.max(1, ratio))), columns: Math.max(1, Math.round(finest * Math.min(1, ratio))) };
}

function load() {
  const value = props.value || {}, now = shape(), text = value.cells || "";
  const kept = value.rows === now.rows && value.columns === now.columns && text.length === now.rows * now.columns;
  cells = Array.from({ length: now.rows * now.columns }, (_, at) => kept && text[at] === "1");
}

function commit(on) {
  const now = shape();
  props.value = { on: on ?? Boolean((props.value || {}).on), ...now, cells: cells.map((cell) => (cell ? "1" : "0")).join("") };
}

const canvas = F.el("canvas", "fc-canvas");
canvas.tabIndex = 0;
canvas.id = "mask-canvas";
canvas.setAttribute("role", "application");
canvas.setAttribute("aria-label", "Cells where levers act: drag to paint; arrow keys move, space paints");
const said = F.el("span", "fc-note");
const only = F.el("input");
Object.assign(only, { type: "checkbox", id: "mask-on" });
only.addEventListener("change", () => { commit(only.checked); draw(); });
const tools = F.el("span", "fc-toggles");
const brushes = [["paint", 1], ["erase", 0]].map(([name, value]) => {
  const button = F.button("fc-toggle", name, () => { tool = value; draw(); });
  button.id = `mask-${name}`;
  tools.appendChild(button);
  return [button, value];
});
const width = F.el("select", "fc-select");
width.id = "mask-size";
width.setAttribute("aria-label", "Width of the brush, in cells");
for (const cellsWide of [1, 3, 5, 9]) {
  const option = F.el("option", "", `${cellsWide} cell${cellsWide > 1 ? "s" : ""}`);
  option.value = String(cellsWide);
  width.appendChild(option);
}
width.value = String(size);
width.addEventListener("change", () => { size = Number(width.value); });
const all = (fill) => () => { cells = cells.map((cell) => (fill === null ? !cell : fill)); commit(fill === false ? undefined : true); draw(); };
const bar = F.add(F.el("div", "fc-painter-bar"),
  F.add(F.el("label", "fc-field"), only, F.el("span", "", "only where painted")), tools, width,
  F.button("fc-quiet", "invert", all(null)), F.button("fc-quiet", "clear", all(false), "Clear the mask"));
F.add(root, bar, F.add(F.el("div", "fc-painter-frame"), canvas), said);

function touch(row, column) {
  const now = shape(), reach = (size - 1) / 2;
  for (let r = Math.ceil(row - reach); r <= row + reach; r++) {
    for (let c = Math.ceil(column - reach); c <= column + reach; c++) {
      if (r >= 0 && c >= 0 && r < now.rows && c < now.columns) cells[r * now.columns + c] = Boolean(tool);
    }
  }
}

function at(event) {
  const box = canvas.getBoundingClientRect(), now = shape();
  return { row: Math.floor(((event.clientY - box.top) / box.height) * now.rows), column: Math.floor(((event.clientX - box.left) / box.width) * now.columns) };
}

canvas.addEventListener("pointerdown", (event) => {
  event.preventDefault();
  canvas.setPointerCapture(event.pointerId);
  drawing = true;
  canvas.dataset.last = "";
  stroke(at(event));
});
canvas.addEventListener("pointermove", (event) => { if (drawing) stroke(at(event)); });
for (const name of ["pointerup", "pointercancel"]) canvas.addEventListener(name, () => { if (drawing) { drawing = false; commit(tool ? true : undefined); draw(); } });
// A fast hand leaves gaps between events: the line in between is painted too.
function stroke(to) {
  const [row, column] = (canvas.dataset.last || `${to.row} ${to.column}`).split(" ").map(Number);
  const steps = Math.max(1, Math.abs(to.row - row), Math.abs(to.column - column));
  for (let n = 0; n <= steps; n++) touch(Math.round(row + ((to.row - row) * n) / steps), Math.round(column + ((to.column - column) * n) / steps));
  canvas.dataset.last = `${to.row} ${to.column}`;
  paint();
}
canvas.addEventListener("keydown", (event) => {
  const move = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] }[event.key], now = shape();
  if (move) {
    pointer = { row: Math.min(now.rows - 1, Math.max(0, pointer.row + move[0])), column: Math.min(now.columns - 1, Math.max(0, pointer.column + move[1])), shown: true };
  } else if (event.key === " ") {
    touch(pointer.row, pointer.column);
    commit(tool ? true : undefined);
  } else return;
  event.preventDefault();
  draw();
});
canvas.addEventListener("blur", () => { pointer.shown = false; paint(); });

function paint() {
  const now = shape(), scale = Math.max(4, Math.floor(384 / Math.max(now.rows, now.columns)));
  canvas.width = now.columns * scale;
  canvas.height = now.rows * scale;
  const on = canvas.getContext("2d"), value = props.value || {};
  on.imageSmoothingEnabled = false;
  on.fillStyle = F.cssColour("--fc-line", "#ddd");
  on.fillRect(0, 0, canvas.width, canvas.height);
  if (image) on.drawImage(image, 0, 0, canvas.width, canvas.height);
  on.globalAlpha = value.on || drawing ? 0.55 : 0.2;
  on.fillStyle = F.cssColour("--fc-accent", "#26c");
  cells.forEach((cell, n) => { if (cell) on.fillRect((n % now.columns) * scale, Math.floor(n / now.columns) * scale, scale, scale); });
  on.globalAlpha = 1;
  if (pointer.shown) {
    on.strokeStyle = F.cssColour("--fc-neg", "#d60");
    on.lineWidth = 2;
    on.strokeRect(pointer.column * scale + 1, pointer.row * scale + 1, scale - 2, scale - 2);
  }
}

function draw() {
  const value = props.value || {}, count = cells.filter(Boolean).length;
  only.checked = Boolean(value.on);
  for (const [button, own] of brushes) { button.classList.toggle("is-on", own === tool); button.setAttribute("aria-pressed", String(own === tool)); }
  const share = `${Math.round((100 * count) / Math.max(1, cells.length))} % of the picture`;
  said.textContent = !value.on ? "Levers act on the whole picture." : count ? `Levers act on ${share}.` : "Nothing is painted yet.";
  paint();
}

function picture() {
  if (!props.picture) { image = null; return draw(); }
  const next = new Image();
  next.onload = () => { image = next; draw(); };
  next.src = props.picture;
}

watch("value", () => { if (!drawing) { load(); draw(); } });
watch("ratio", () => { load(); draw(); });
watch("picture", picture);
F.onTheme(paint);
load();
picture();
draw();
