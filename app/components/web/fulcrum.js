// Helpers shared by all components. Every string reaches the page through textContent or setAttribute.
window.Fulcrum = (() => {
  const SVG = "http://www.w3.org/2000/svg";

  function el(tag, cls, text) {
    const node = document.createElement(tag);
    if (cls) node.className = cls;
    if (text !== undefined && text !== null) node.textContent = String(text);
    return node;
  }

  function add(parent, ...children) {
    for (const child of children) if (child) parent.appendChild(child);
    return parent;
  }

  function svg(tag, attributes) {
    const node = document.createElementNS(SVG, tag);
    for (const [name, value] of Object.entries(attributes || {})) node.setAttribute(name, String(value));
    return node;
  }

  function button(cls, text, onClick, label) {
    const node = el("button", cls, text);
    node.type = "button";
    if (label) node.setAttribute("aria-label", label);
    node.addEventListener("click", onClick);
    return node;
  }

  // Three significant figures with a true minus sign; "–" for what is not known.
  function number(value, digits = 3) {
    if (value === null || value === undefined || !Number.isFinite(value)) return "–";
    if (value === 0) return "0";
    const size = Math.abs(value);
    const text = size >= 1000 ? size.toFixed(0) : size >= 0.001 ? String(+size.toPrecision(digits)) : size.toExponential(1);
    return (value < 0 ? "−" : "") + text;
  }

  function signed(value, digits = 2) {
    return Number.isFinite(value) && value > 0 ? "+" + number(value, digits) : number(value, digits);
  }

  // Background of a token: blue-green for positive, orange for negative, strength by share of the scale.
  function tint(value, scale) {
    if (!Number.isFinite(value) || !scale || value === 0) return "";
    const share = Math.min(1, Math.abs(value) / scale);
    const hue = value > 0 ? "var(--fc-pos)" : "var(--fc-neg)";
    return `color-mix(in srgb, ${hue} calc(12% + ${share.toFixed(3)} * var(--fc-tint)), transparent)`;
  }

  // tokens: [{text, shown, value?, note?, peak?, muted?}]; `text` keeps its spaces, `shown` makes them visible.
  function strip(tokens, options = {}) {
    const line = el("div", "fc-strip" + (options.cls ? " " + options.cls : ""));
    line.setAttribute("role", "group");
    if (options.label) line.setAttribute("aria-label", options.label);
    const sizes = tokens.map((token) => Math.abs(token.value)).filter(Number.isFinite);
    const scale = options.scale || Math.max(0, ...sizes);
    for (const token of tokens) {
      const chip = el("span", "fc-token", token.text);
      if (token.peak) chip.classList.add("is-peak");
      if (token.muted) chip.classList.add("is-muted");
      if (token.changed) chip.classList.add("is-changed");
      if (Number.isFinite(token.value)) chip.style.backgroundColor = tint(token.value, scale);
      const amount = Number.isFinite(token.value) ? `  ${options.signed ? signed(token.value) : number(token.value)}` : "";
      chip.dataset.tip = `${token.shown}${amount}${token.note ? "  " + token.note : ""}`;
      line.appendChild(chip);
      if (token.breaks) line.appendChild(document.createElement("br"));
    }
    return line;
  }

  // An effect with its interval, over the band that the null reaches: one glance per edge.
  function interval(edge, reach) {
    const wide = 96, high = 14, mid = wide / 2;
    const at = (value) => mid + (Math.max(-reach, Math.min(reach, value)) / reach) * (mid - 3);
    const art = svg("svg", { width: wide, height: high, viewBox: `0 0 ${wide} ${high}`, class: "fc-interval", "aria-hidden": "true" });
    if (Number.isFinite(edge.null95) && edge.null95 !== null) {
      art.appendChild(svg("rect", { x: at(-edge.null95), y: 1, width: Math.max(1, at(edge.null95) - at(-edge.null95)), height: high - 2, class: "fc-null" }));
    }
    art.appendChild(svg("line", { x1: mid, x2: mid, y1: 0, y2: high, class: "fc-zero" }));
    if (Number.isFinite(edge.effect) && edge.effect !== null) {
      art.appendChild(svg("line", { x1: at(edge.low ?? edge.effect), x2: at(edge.high ?? edge.effect), y1: high / 2, y2: high / 2, class: "fc-range" }));
      art.appendChild(svg("circle", { cx: at(edge.effect), cy: high / 2, r: 2.6, class: "fc-dot" }));
    }
    return art;
  }

  function cssColour(name, fallback) {
    return getComputedStyle(document.body).getPropertyValue(name).trim() || fallback;
  }

  // Whether the browser draws with WebGL; asked once, because each asking makes a context.
  let gl = null;
  function webgl() {
    if (gl === null) gl = Boolean(document.createElement("canvas").getContext("webgl"));
    return gl;
  }

  // Calls back when the page changes between light and dark.
  function onTheme(callback) {
    new MutationObserver(callback).observe(document.body, { attributes: true, attributeFilter: ["class"] });
  }

  return { el, add, svg, button, number, signed, tint, strip, interval, cssColour, webgl, onTheme };
})();
