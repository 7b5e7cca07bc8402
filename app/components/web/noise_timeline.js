// A noise interval over previews; pure noise (1) at the left. Value: {own, low, high}; props: previews [{noise, picture}], steps [noise], level [low, high] of the levers or null.
const F = window.Fulcrum;
const root = element.querySelector(".fc-root");
root.classList.add("fc-timeline");
const own = F.el("input");
Object.assign(own, { type: "checkbox", id: "noise-own" });
const strip = F.el("div", "fc-previews");
const track = F.el("div", "fc-track");
const fill = F.el("div", "fc-track-fill");
const marks = F.el("div", "fc-track-marks");
const said = F.el("span", "fc-note");
const ends = ["high", "low"].map((name) => {
  const slider = F.el("input", `fc-end-${name}`), exact = F.el("input", "fc-exact");
  // Sliders count from the left, where noise is 1.
  Object.assign(slider, { type: "range", id: `noise-${name}`, min: 0, max: 1, step: 0.01 });
  Object.assign(exact, { type: "number", id: `noise-${name}-exact`, min: 0, max: 1, step: 0.01 });
  const label = name === "high" ? "Noise where the levers begin" : "Noise where the levers end";
  slider.setAttribute("aria-label", label);
  exact.setAttribute("aria-label", `${label}, exactly`);
  const read = (noise) => { const text = noise.toFixed(2); slider.setAttribute("aria-valuetext", `noise ${text}`); };
  slider.addEventListener("input", () => { place(name, 1 - Number(slider.value)); read(1 - Number(slider.value)); });
  slider.addEventListener("change", () => commit({ [name]: round(1 - Number(slider.value)), own: false }));
  exact.addEventListener("change", () => commit({ [name]: Number(exact.value), own: false }));
  return { name, slider, exact, read };
});
own.addEventListener("change", () => commit({ own: own.checked }));
F.add(track, marks, fill, ...ends.map((end) => end.slider));
F.add(root, F.add(F.el("div", "fc-timeline-bar"), F.add(F.el("label", "fc-field"), own, F.el("span", "", "at the noise of their level")),
  F.add(F.el("span", "fc-field"), F.el("span", "", "noise"), ends[0].exact, F.el("span", "", "to"), ends[1].exact)), strip, track, said);

const round = (value) => Math.round(value * 100) / 100;
let now = { own: true, low: 0, high: 1 };

// What a person typed is kept and sent as it is: the page says in words what is wrong with it.
// Whoever leaves the noise of the level starts from it.
function commit(fields) {
  now = { ...(fields.own === false ? drawn() : now), ...fields };
  props.value = now;
  draw();
}

// What is shown: the interval that was set, or the one of the levers' level.
function drawn() {
  const level = props.level;
  return now.own && Array.isArray(level) ? { ...now, low: level[0], high: level[1] } : now;
}

function place(name, value) {
  const shown = { ...drawn(), [name]: value }, low = Math.min(shown.low, shown.high), high = Math.max(shown.low, shown.high);
  fill.style.left = `${100 * (1 - high)}%`;
  fill.style.width = `${100 * (high - low)}%`;
}

function draw() {
  own.checked = now.own;
  root.classList.toggle("is-own", now.own);
  const shown = drawn(), known = !now.own || shown !== now;
  for (const end of ends) {
    if (document.activeElement !== end.slider) end.slider.value = String(1 - shown[end.name]);
    if (document.activeElement !== end.exact) end.exact.value = String(shown[end.name]);
    end.read(Number(shown[end.name]));
  }
  place("low", shown.low);
  const low = Math.min(shown.low, shown.high), high = Math.max(shown.low, shown.high), steps = props.steps || [];
  marks.replaceChildren(...steps.map((noise) => {
    const mark = F.el("i", known && noise >= low && noise <= high ? "is-on" : "");
    mark.style.left = `${100 * (1 - noise)}%`;
    return mark;
  }));
  const inside = steps.filter((noise) => noise >= low && noise <= high).length;
  const counted = steps.length ? `${inside} of ${steps.length} steps` : "pure noise is at the left, the picture at the right";
  said.textContent = now.own ? `Levers act where their level was trained${known ? `: ${counted}` : ""}.` : `Levers act between both ends: ${counted}.`;
}

function previews() {
  const rows = [...(props.previews || [])].sort((a, b) => b.noise - a.noise);
  strip.classList.toggle("is-empty", rows.length === 0);
  strip.replaceChildren(...rows.map((row) => {
    const image = F.el("img");
    image.src = row.picture;
    image.alt = `The first picture at noise ${row.noise.toFixed(2)}`;
    return F.add(F.el("figure"), image, F.el("figcaption", "", row.noise.toFixed(2)));
  }));
  draw();
}

watch("value", () => { now = { own: true, low: 0, high: 1, ...(props.value || {}) }; draw(); });
watch(["previews", "steps", "level"], previews);
now = { ...now, ...(props.value || {}) };
previews();
