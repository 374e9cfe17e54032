// What every explorer shares: a model without a kernel, theme, canvas, controls with labels, spoken status.
// No imports, no ids, no network: the same code runs in a plain page and in a notebook's widget.
const KINDS = __KINDS__; // from longsum_lib/viz/palette.py: [{ name, label, color, hatch, hatchColor }], the position is the code
const SERIES = __SERIES__; // colours of lines, from the same file
const EXPLORERS = {};

/** Register an explorer: build(kit) fills kit.root once and returns nothing. */
function explorer(name, build) {
  EXPLORERS[name] = build;
}

/** Make an element: h("button", { type: "button", onclick }, "text", child). */
function h(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (value === true) element.setAttribute(name, "");
    else if (value !== false && value != null) element.setAttribute(name, value);
  }
  element.append(...children);
  return element;
}

/** 16384 -> "16,384"; not by locale, so that every page says the same. */
function count(value) {
  return String(Math.round(value)).replace(/\B(?=(\d{3})+$)/g, ",");
}

/** 0.0473 -> "4.7%" */
function percent(share) {
  return `${(100 * share).toFixed(share > 0 && share < 0.0995 ? 1 : 0)}%`;
}

/** 1234567 -> "1.23 million" */
function compact(value) {
  for (const [unit, name] of [[1e12, "trillion"], [1e9, "billion"], [1e6, "million"]])
    if (value >= unit) return `${(value / unit).toPrecision(3)} ${name}`;
  return count(value);
}

/** plural(1, "key") -> "1 key" */
function plural(number, word, words = word + "s") {
  return `${count(number)} ${number === 1 ? word : words}`;
}

/** [1, 2, 3, 7] -> "1–3, 7"; at most `most` runs are named. */
function runs(numbers, most = 4) {
  const parts = [];
  for (const n of numbers) {
    const last = parts[parts.length - 1];
    if (last && last[1] === n - 1) last[1] = n;
    else parts.push([n, n]);
  }
  const names = parts.map(([a, b]) => (a === b ? `${a}` : b === a + 1 ? `${a}, ${b}` : `${a}–${b}`));
  return names.length > most ? names.slice(0, most - 1).join(", ") + " … " + names[names.length - 1] : names.join(", ");
}

/** A short fingerprint of numbers or text (FNV-1a), for tests. */
function fingerprint(values) {
  let hash = 0x811c9dc5;
  for (let i = 0; i < values.length; i++) {
    hash ^= typeof values === "string" ? values.charCodeAt(i) : values[i];
    hash = Math.imul(hash, 0x01000193) >>> 0;
  }
  return hash.toString(16).padStart(8, "0");
}

/** The part of a widget's model that an explorer uses, for a page without a kernel. */
function localModel(state) {
  const values = { ...state };
  const listeners = {};
  return {
    get: (key) => values[key],
    set(key, value) {
      if (values[key] === value) return;
      values[key] = value;
      for (const listener of listeners[`change:${key}`] ?? []) listener();
    },
    on: (event, listener) => void (listeners[event] ??= []).push(listener),
    off: (event, listener) => void (listeners[event] = (listeners[event] ?? []).filter((l) => l !== listener)),
    save_changes() {},
  };
}

/** Whether the page around an element is dark: the book and Jupyter say it, elsewhere the colour of the text does. */
function isDark(element) {
  const page = document.documentElement.dataset.theme;
  const jupyter = document.body.dataset.jpThemeLight;
  if (page) return page === "dark";
  if (jupyter) return jupyter === "false";
  const [r, g, b] = (getComputedStyle(element.parentElement ?? document.body).color.match(/\d+/g) ?? [0, 0, 0]).map(Number);
  return 0.299 * r + 0.587 * g + 0.114 * b > 140;
}

const LIGHT = { paper: "#ffffff", cell: "#f1f3f5", ink: "#1b1f24", soft: "#57606a", line: "#d8dee4", accent: "#0b5f9e" };
const DARK = { paper: "#1a1e22", cell: "#2a3037", ink: "#dde3e9", soft: "#a9b3bd", line: "#3d454e", accent: "#79bdf2" };

/** Everything an explorer gets: root, model, theme, controls, canvas, status. */
class Kit {
  constructor(root, model) {
    Object.assign(this, { root, model, stops: [], controls: [], redraws: [], keys: new Set(), pending: false });
    this.live = h("p", { class: "lx-live", "aria-live": "polite" }); // seen and spoken
    this.spoken = h("p", { class: "lx-spoken", "aria-live": "polite" }); // spoken only
    this.readTheme();
    const onTheme = () => (this.readTheme(), this.refresh());
    const observer = new MutationObserver(onTheme);
    observer.observe(document.documentElement, { attributes: true, attributeFilter: ["data-theme", "theme", "class"] });
    observer.observe(document.body, { attributes: true, attributeFilter: ["data-jp-theme-light", "class"] });
    this.stops.push(() => observer.disconnect());
  }

  readTheme() {
    this.dark = isDark(this.root);
    this.theme = this.dark ? DARK : LIGHT;
    this.patterns = new Map();
    this.root.dataset.mode = this.dark ? "dark" : "light";
  }

  get(key) {
    return this.model.get(key);
  }

  set(key, value) {
    this.model.set(key, value);
    this.model.save_changes();
  }

  /** Call `update` now, and again (once for several changes) whenever one of the keys or the theme changes. */
  watch(keys, update) {
    this.redraws.push(update);
    for (const key of keys) {
      if (this.keys.has(key)) continue;
      this.keys.add(key);
      const listener = () => this.refresh();
      this.model.on(`change:${key}`, listener);
      this.stops.push(() => this.model.off(`change:${key}`, listener));
    }
    this.refresh();
  }

  refresh() {
    if (this.pending) return;
    this.pending = true;
    queueMicrotask(() => {
      this.pending = false;
      for (const control of this.controls) control();
      for (const redraw of this.redraws) redraw();
    });
  }

  /** Show and speak a sentence; kit.live has to be in the page. */
  say(text) {
    if (this.live.textContent !== text) this.live.textContent = text;
  }

  /** Speak a sentence that stands somewhere else, once the reader has come to rest; kit.spoken has to be in the page. */
  speak(text) {
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.spoken.textContent !== text && (this.spoken.textContent = text), 500);
  }

  /** Where a control reads and writes: the model, or `source` with get and set. */
  bind({ key, source = this, show }, update) {
    const control = () => {
      const element = update(source.get(key));
      if (show && element) element.hidden = !show();
    };
    this.controls.push(control);
    if (source === this && !this.keys.has(key)) this.watch([key], () => {});
    return control;
  }

  /** A slider over whole numbers; min and max may be functions. */
  slider(options) {
    const { label, min = 0, max, step = 1, format = count, hint, key, source = this } = options;
    const value = h("span", { class: "lx-value", "aria-hidden": "true" }); // the slider says it itself
    const input = h("input", { type: "range", "data-key": key, step, oninput: () => source.set(key, Number(input.value)) });
    const element = h("label", { class: "lx-slider", title: hint }, h("span", { class: "lx-name" }, label), value, input);
    const limit = (x) => (typeof x === "function" ? x() : x);
    this.bind(options, (now) => {
      input.min = limit(min);
      input.max = limit(max);
      input.value = now;
      const part = (now - input.min) / Math.max(1, input.max - input.min);
      input.style.setProperty("--part", `${100 * Math.min(1, Math.max(0, part))}%`);
      value.textContent = format(now);
      input.setAttribute("aria-valuetext", format(now));
      return element;
    });
    return element;
  }

  /** A menu; options: [[value, text], …] or a function that returns them. */
  menu(options) {
    const { label, options: list, key, source = this, parse = (x) => x } = options;
    const input = h("select", { "data-key": key, onchange: () => source.set(key, parse(input.value)) });
    const element = h("label", { class: "lx-menu" }, h("span", { class: "lx-name" }, label), input);
    this.bind(options, (now) => {
      const entries = typeof list === "function" ? list() : list;
      if (input.dataset.entries !== JSON.stringify(entries)) {
        input.dataset.entries = JSON.stringify(entries);
        input.replaceChildren(...entries.map(([value, text]) => h("option", { value }, text)));
      }
      input.value = now;
      return element;
    });
    return element;
  }

  /** A row of buttons of which one is chosen (radio buttons: arrow keys move between them). */
  chips(options) {
    const { label, options: list, key, source = this, parse = (x) => x } = options;
    const name = `lx-${Math.random()}`; // of this group alone, whatever other scripts are on the page
    const inputs = list.map(([value]) =>
      h("input", { type: "radio", "data-key": key, name, value, onchange: () => source.set(key, parse(value)) }),
    );
    const chips = list.map(([, text], i) => h("label", { class: "lx-chip" }, inputs[i], h("span", {}, text)));
    const element = h("fieldset", { class: "lx-chips" }, h("legend", { class: "lx-name" }, label), ...chips);
    this.bind(options, (now) => {
      for (const input of inputs) input.checked = input.value === String(now);
      return element;
    });
    return element;
  }

  /** A box to tick. */
  check(options) {
    const { label, key, source = this } = options;
    const input = h("input", { type: "checkbox", "data-key": key, onchange: () => source.set(key, input.checked) });
    const element = h("label", { class: "lx-check" }, input, h("span", { class: "lx-name" }, label));
    this.bind(options, (now) => ((input.checked = Boolean(now)), element));
    return element;
  }

  button(text, onclick, attributes = {}) {
    return h("button", { type: "button", class: "lx-button", onclick, ...attributes }, text);
  }

  /**
   * A picture that fits its box at the screen's own resolution and redraws on every change of size, theme or model.
   * draw(context, width, height, dot) works in CSS pixels; `dot` is one pixel of the screen. height(width, dot) is in CSS pixels.
   */
  canvas({ draw, height, ...attributes }) {
    const element = h("canvas", { class: "lx-canvas", ...attributes });
    const box = h("div", { class: "lx-picture" }, element);
    const redraw = () => {
      const width = Math.floor(box.clientWidth);
      if (!width) return; // hidden: the ResizeObserver calls again
      const ratio = window.devicePixelRatio || 1;
      const tall = Math.ceil(height(width, 1 / ratio));
      if (element.width !== Math.round(width * ratio)) element.width = Math.round(width * ratio);
      if (element.height !== Math.round(tall * ratio)) element.height = Math.round(tall * ratio);
      if (element.style.height !== `${tall}px`) element.style.height = `${tall}px`;
      const context = element.getContext("2d");
      context.setTransform(ratio, 0, 0, ratio, 0, 0);
      context.clearRect(0, 0, width, tall);
      draw(context, width, tall, 1 / ratio);
    };
    const observer = new ResizeObserver(redraw);
    observer.observe(box);
    this.stops.push(() => observer.disconnect());
    this.redraws.push(redraw);
    return { element, box, redraw };
  }

  /** Fill style of a kind of key: its colour with its hatch, as the palette has them. */
  fill(code) {
    const { color, hatch, hatchColor } = KINDS[code];
    if (!hatch) return code ? color : this.theme.cell;
    const ratio = window.devicePixelRatio || 1;
    const name = `${code}:${ratio}`;
    if (!this.patterns.has(name)) this.patterns.set(name, hatched(color, hatch[0], hatchColor, ratio));
    return this.patterns.get(name);
  }

  /** A legend; entries: [[code, text], …] */
  legend(entries) {
    return h("ul", { class: "lx-legend" }, ...entries.map(([code, text]) => {
      const key = h("canvas", { width: 36, height: 28, "aria-hidden": "true" });
      const context = key.getContext("2d");
      context.fillStyle = hatched(KINDS[code].color, (KINDS[code].hatch || " ")[0], KINDS[code].hatchColor, 2);
      if (!code) context.fillStyle = this.theme.cell;
      context.fillRect(0, 0, 36, 28);
      return h("li", {}, key, text);
    }));
  }
}

/** A repeating tile of a colour with lines (/ \), a cross (x) or dots (.). */
function hatched(color, sign, ink, ratio) {
  const size = Math.max(4, Math.round(6 * ratio));
  const tile = document.createElement("canvas");
  tile.width = tile.height = size;
  const context = tile.getContext("2d");
  context.fillStyle = color;
  context.fillRect(0, 0, size, size);
  context.strokeStyle = context.fillStyle = ink;
  context.lineWidth = ratio;
  context.beginPath();
  const slope = (up) => {
    for (const shift of [-size, 0, size]) {
      context.moveTo(shift - 1, up ? size + 1 : -1);
      context.lineTo(shift + size + 1, up ? -1 : size + 1);
    }
  };
  if (sign === "/" || sign === "x") slope(true);
  if (sign === "\\" || sign === "x") slope(false);
  context.stroke();
  if (sign === ".") {
    context.arc(size / 2, size / 2, 1.1 * ratio, 0, 7);
    context.fill();
  }
  const pattern = context.createPattern(tile, "repeat");
  pattern.setTransform(new DOMMatrix().scale(1 / ratio));
  return pattern;
}

/** Fill an element with an explorer; returns what takes it apart again. */
function mount(name, root, model) {
  root.classList.add("longsum-explorer", `lx-${name}`);
  root.replaceChildren();
  const kit = new Kit(root, model);
  EXPLORERS[name](kit);
  for (const control of kit.controls) control();
  for (const redraw of kit.redraws) redraw();
  root.dataset.ready = "1";
  return () => kit.stops.forEach((stop) => stop());
}

/** Bring every explorer of a page to life; a second call does nothing. */
function mountAll() {
  for (const root of document.querySelectorAll("[data-explorer]:not([data-mounted])")) {
    if (!EXPLORERS[root.dataset.explorer]) continue;
    root.dataset.mounted = "1";
    mount(root.dataset.explorer, root, localModel(JSON.parse(root.dataset.state)));
  }
}
