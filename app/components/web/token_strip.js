// One line of tokens: {title, tokens, scale, signed, note}.
const F = window.Fulcrum;
const root = element.querySelector(".fc-root");

function draw() {
  const value = props.value || {};
  root.replaceChildren();
  if (!value.tokens) return;
  if (value.title) F.add(root, F.el("div", "fc-eyebrow", value.title));
  F.add(root, F.strip(value.tokens, { scale: value.scale, signed: value.signed, label: value.title }));
  if (value.note) F.add(root, F.el("div", "fc-note", value.note));
}

watch("value", draw);
draw();
