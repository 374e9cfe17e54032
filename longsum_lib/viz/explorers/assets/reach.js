// The reach explorer: which inputs can influence one output token after some layers, and which way.
explorer("reach", (kit) => {
  const length = () => kit.get("length");
  const source = { get: (key) => kit.get(key), set: (key, value) => kit.set(key, value) };
  const choices = kit.get("choices").map((name) => [name, MECHANISMS[name].short]);
  const choose = (mechanism) => {
    for (const [name, value] of Object.entries({ ...defaultSizes(mechanism), mechanism })) kit.set(name, value);
  };
  let hovered = null;
  let made = { key: "" }, steady = { key: "" };

  /** The layers and what the token reaches through them; the slow part again only when a size changes. */
  const view = () => {
    const config = { ...configOf(source, length()), heads: kit.get("heads") };
    const layers = kit.get("layers"), token = Math.min(kit.get("token"), length() - 1);
    const sizes = JSON.stringify(config), key = JSON.stringify([sizes, layers, token]);
    if (steady.key !== sizes) steady = { key: sizes, everyone: layersToReachAll(config) };
    if (made.key !== key) {
      const stack = layerPatterns(config, layers), extra = stack[0].extraRows;
      made = { key, config, layers, token, extra, ...receptiveField(stack, extra + token), alone: layersForToken(config, token) };
      made.counts = Array.from({ length: layers + 1 }, (_, depth) =>
        made.since.reduce((n, since, j) => n + (j >= extra && since >= 0 && since <= depth), 0));
    }
    return { ...made, everyone: steady.everyone };
  };
  const traced = () => hovered ?? (kit.get("source") < 0 ? null : kit.get("source"));

  const title = h("p", { class: "lx-title" }), sentence = h("p", { class: "lx-says" }), way = h("p", { class: "lx-way" });
  const numbers = h("div", { class: "lx-numbers" });
  const picture = kit.canvas({
    tabindex: 0, role: "slider",
    height: (width, dot) => reachLayout(view(), width, dot).height,
    draw: (context, width, _, dot) => drawReach(kit, context, view(), reachLayout(view(), width, dot), traced()),
  });
  const canvas = picture.element;
  const at = (event) => {
    const frame = canvas.getBoundingClientRect(), place = reachLayout(view(), frame.width, 1 / (window.devicePixelRatio || 1));
    const j = Math.floor((event.clientX - frame.left - place.x(0) - place.gap) / place.cell) - place.extra;
    const depth = Math.round((event.clientY - frame.top - place.y(0) - place.bar / 2) / place.step);
    return j < 0 || j >= length() ? null : { token: j, depth };
  };
  canvas.addEventListener("pointermove", (event) => {
    if (event.pointerType !== "mouse") return;
    const point = at(event);
    hovered = point && point.depth > 0 ? point.token : null;
    kit.refresh();
  });
  canvas.addEventListener("pointerleave", () => ((hovered = null), kit.refresh()));
  canvas.addEventListener("click", (event) => {
    const point = at(event);
    if (!point) return;
    if (point.depth >= kit.get("layers")) kit.set("source", point.token);
    else kit.set("token", point.token);
  });
  canvas.addEventListener("keydown", (event) => {
    const token = kit.get("token"), layers = kit.get("layers");
    const go = (to) => kit.set("token", Math.max(0, Math.min(length() - 1, to)));
    const moves = {
      ArrowRight: () => go(token + 1), ArrowLeft: () => go(token - 1), Home: () => go(0), End: () => go(length() - 1),
      ArrowDown: () => kit.set("layers", Math.min(12, layers + 1)), ArrowUp: () => kit.set("layers", Math.max(1, layers - 1)),
      Escape: () => kit.set("source", -1),
    };
    if (!moves[event.key]) return;
    event.preventDefault();
    moves[event.key]();
  });

  const differ = () => {
    const { mechanism, sparsity_type, random_blocks, num_random_blocks } = configOf(source, length());
    return mechanism === "lsg" ? /stride/.test(sparsity_type) : mechanism === "big_bird" && random_blocks === "seeded" && num_random_blocks > 0;
  };
  kit.root.classList.add("lx-stack");
  if (choices.length > 1)
    kit.root.append(kit.chips({ label: "Mechanism", key: "mechanism", options: choices, source: { get: source.get, set: (_, value) => choose(value) } }));
  const main = h("div", { class: "lx-controls" },
    kit.slider({ label: "Layers", key: "layers", min: 1, max: 12 }),
    kit.slider({ label: "Output token", key: "token", max: () => length() - 1, format: (n) => `token ${n}` }),
    kit.slider({ label: "Trace an input", key: "source", min: -1, max: () => length() - 1, format: (n) => (n < 0 ? "none" : `token ${n}`) }),
  );
  const sizes = sizeControls(kit, source, length, ["layer", "head", "depth"]);
  sizes.append(
    kit.slider({ label: "Length", key: "length", min: 8, max: 96, format: (n) => `${n} tokens` }),
    kit.slider({ label: "Heads", key: "heads", min: 1, max: 8, show: differ }),
  );
  // Play: one layer more at a time, until the token depends on everything or more layers bring nothing.
  let timer = null;
  const stop = () => {
    clearInterval(timer);
    timer = null;
    kit.refresh();
  };
  const step = () => {
    const { counts, layers } = view();
    const isDone = counts[layers] === length() || layers === 12 || (layers > 2 && counts[layers] === counts[layers - 2]);
    if (isDone) stop();
    else kit.set("layers", layers + 1);
  };
  const play = kit.button("Play", () => {
    if (timer) return stop();
    kit.set("layers", 1);
    timer = setInterval(step, 900);
    kit.refresh();
  }, { title: "Add one layer after the other" });
  kit.stops.push(() => clearInterval(timer));
  const apply = (sizes) => Object.entries(sizes).forEach(([name, value]) => kit.set(name, value));
  kit.root.append(title, ...tries(kit, source, length, apply, "reach"), main, h("div", {}, play), picture.box,
    livingLegend(kit, () => {
      const { kind, config } = view();
      return [...new Set(kind)].filter(Boolean).sort().map((code) => [code, `by a ${kindName(code, config.mechanism, config.sparsity_type)} key`]);
    }),
    sentence, way, numbers, sizes, kit.spoken);

  const keys = ["mechanism", "length", "layers", "token", "source", "heads", ...Object.values(MECHANISMS).flatMap((m) => Object.keys(m.sizes))];
  kit.watch([...new Set(keys)], () => {
    for (const name of ["token", "source"]) if (kit.get(name) >= length()) kit.set(name, length() - 1);
    const shown = view(), { config, layers, token, extra, since, counts } = shown;
    const { label, used_by } = MECHANISMS[config.mechanism];
    title.replaceChildren(h("strong", {}, label), ` ${used_by}`);
    const reached = [...since].flatMap((depth, j) => (depth >= 0 && j >= extra ? [j - extra] : []));
    const share = reached.length === config.length ? `all ${config.length} tokens` : `${reached.length} of ${config.length} tokens: ${runs(reached)}`;
    sentence.textContent = `After ${plural(layers, "layer")}, token ${token} depends on ${share}.`;
    way.textContent = traced() === null ? "" : wayOf(shown, traced());
    way.hidden = traced() === null;
    play.textContent = timer ? "Stop" : "Play";
    play.setAttribute("aria-pressed", String(Boolean(timer)));
    const layersOrNever = (n) => (n === null ? "never" : plural(n, "layer"));
    numbers.replaceChildren(
      ...[
        [percent(counts[layers] / config.length), `of the document in reach of token ${token}`],
        [layersOrNever(shown.alone), `until token ${token} depends on all`],
        [layersOrNever(shown.everyone), "until every token depends on every other"],
      ].map(([number, words]) => h("div", {}, h("strong", {}, number), h("span", {}, words))),
    );
    kit.root.dataset.reached = JSON.stringify(reached);
    kit.root.dataset.counts = JSON.stringify(counts);
    kit.root.dataset.hash = fingerprint(Int16Array.from(since, (depth) => depth + 1));
    canvas.setAttribute("aria-label", `Receptive field, ${label}: the output on top, the document below. Left and right move the token, up and down the layers.`);
    canvas.setAttribute("aria-valuemin", 0);
    canvas.setAttribute("aria-valuemax", config.length - 1);
    canvas.setAttribute("aria-valuenow", token);
    canvas.setAttribute("aria-valuetext", `token ${token}, ${plural(layers, "layer")}`);
    kit.speak(`${sentence.textContent} ${way.textContent}`);
  });
});

/** The steps from an input up to the output token: [[position, depth], …], input first; null if there are none. */
function wayUp({ since, from, extra }, input) {
  if (since[extra + input] < 0) return null;
  const steps = [];
  for (let j = extra + input; j >= 0; j = from[j]) steps.push([j, since[j]]);
  return steps;
}

/** That way in words. */
function wayOf(shown, input) {
  const { layers, extra, kind, config } = shown, steps = wayUp(shown, input);
  const name = (j) => (j < extra ? "a global token" : `token ${j - extra}`);
  if (!steps) return `Nothing of token ${input} gets to token ${shown.token}.`;
  if (steps.length === 1) return `Token ${input} is the output token itself.`;
  const hops = steps.slice(0, -1).map(([j, depth], i) =>
    `${name(steps[i + 1][0])} (layer ${layers - depth}, ${kindName(kind[j], config.mechanism, config.sparsity_type)})`);
  return `From token ${input} to ${hops.join(", then ")}.`;
}

/** Where things stand: one bar for every layer's input, the output on top. */
function reachLayout({ config, layers, extra }, width, dot = 1) {
  const gap = extra ? 6 : 0, room = width - gap - 2;
  const cell = Math.max(dot, Math.floor(room / (config.length + extra) / dot) * dot);
  const left = Math.floor((width - gap - cell * (config.length + extra)) / 2);
  const bar = 16, step = Math.max(38, Math.min(76, 300 / layers)), top = 20;
  return {
    gap, cell, bar, step, extra,
    x: (j) => left + j * cell + (j >= extra ? gap : 0),
    y: (depth) => top + depth * step,
    right: left + gap + cell * (config.length + extra),
    height: top + layers * step + bar + 18,
  };
}

function drawReach(kit, context, shown, place, input) {
  const { since, kind, from, nodes, layers, extra, token, config, counts } = shown, { x, y, cell, bar } = place, { theme } = kit;
  const middle = (j) => x(j) + cell / 2;
  context.lineWidth = 1;
  for (let depth = 1; depth <= layers; depth++) // who brought what: thin lines under the bars
    for (let j = 0; j < nodes; j++) {
      if (since[j] !== depth) continue;
      context.strokeStyle = KINDS[kind[j]].color;
      context.globalAlpha = kit.dark ? 0.65 : 0.5;
      context.beginPath();
      context.moveTo(middle(from[j]), y(depth - 1) + bar);
      context.lineTo(middle(j), y(depth));
      context.stroke();
    }
  context.globalAlpha = 1;
  context.textBaseline = "alphabetic";
  for (let depth = 0; depth <= layers; depth++) {
    for (let j = 0; j < nodes; j++) {
      const isIn = since[j] >= 0 && since[j] <= depth;
      context.globalAlpha = 1;
      context.fillStyle = theme.cell;
      context.fillRect(x(j), y(depth), cell, bar);
      if (!isIn) continue;
      context.globalAlpha = since[j] === depth || since[j] === 0 ? 1 : 0.5;
      context.fillStyle = since[j] === 0 ? theme.ink : kit.fill(kind[j]);
      context.fillRect(x(j), y(depth), cell, bar);
    }
    context.globalAlpha = 1;
    if (cell >= 5) {
      context.fillStyle = theme.paper;
      for (let j = 1; j < nodes; j++) context.fillRect(x(j) - 0.5, y(depth), 1, bar);
    }
    // Layers are counted from 0, as in the figures.
    const name = depth === 0 ? `output of layer ${layers - 1}` : depth === layers ? "the document" : `input of layer ${layers - depth}`;
    context.font = "11px system-ui, sans-serif";
    const words = `${name} · ${counts[depth]}`;
    context.textAlign = "left";
    context.lineWidth = 4;
    context.strokeStyle = theme.paper;
    context.strokeText(words, x(0), y(depth) - 5);
    context.fillStyle = theme.soft;
    context.fillText(words, x(0), y(depth) - 5);
  }
  context.fillStyle = theme.soft;
  context.textAlign = "center";
  const every = [1, 2, 4, 8, 16, 32].find((n) => n * cell >= 26) ?? 64;
  for (let t = 0; t < config.length; t += every) context.fillText(t, middle(extra + t), y(layers) + bar + 13);
  const steps = input === null ? null : wayUp(shown, input);
  if (!steps) return;
  context.strokeStyle = theme.ink; // the way of the traced input
  context.lineWidth = 2.5;
  context.lineJoin = "round";
  context.beginPath();
  context.moveTo(middle(steps[0][0]), y(layers) + bar);
  steps.forEach(([j, depth], i) => {
    context.lineTo(middle(j), y(depth));
    if (i + 1 < steps.length) context.lineTo(middle(steps[i + 1][0]), y(depth - 1) + bar);
  });
  context.stroke();
  context.strokeRect(x(extra + input) - 1, y(layers) - 1, cell + 2, bar + 2);
  context.strokeRect(x(extra + token) - 1, y(0) - 1, cell + 2, bar + 2);
}
