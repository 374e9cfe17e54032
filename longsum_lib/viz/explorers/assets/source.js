// Where a summary comes from: words to pick, a strip over the document, the passages, and the text itself.

const SOURCE = (() => {
  /** Numbers that Python packed with seven bits a byte. */
  function unpack(text) {
    const numbers = [];
    let value = 0;
    let scale = 1;
    for (const byte of bytesOf(text)) {
      value += (byte & 127) * scale;
      if (byte & 128) scale *= 128;
      else {
        numbers.push(value);
        value = 0;
        scale = 1;
      }
    }
    return numbers;
  }

  function bytesOf(text) {
    return Uint8Array.from(atob(text), (sign) => sign.charCodeAt(0));
  }

  /** The state of the model as arrays: tokens [[start, end], …], top[view][word] = [[token, share], …], strip(view, word). */
  function read(get) {
    const numbers = unpack(get("spans"));
    const tokens = [];
    for (let i = 0; i < numbers.length; i++) {
      const [before, expected] = tokens[tokens.length - 1] ?? [0, 0];
      const length = numbers[i] >> 1;
      const start = numbers[i] & 1 ? before + numbers[++i] : expected;
      tokens.push([start, start + length]);
    }
    const pairs = unpack(get("top"));
    const rows = get("views").length * get("words").length;
    const kept = rows ? pairs.length / 2 / rows : 0;
    const levels = bytesOf(get("strips"));
    const parts = rows ? levels.length / rows : 0;
    const row = (view, word) => view * get("words").length + word;
    return {
      tokens,
      top(view, word) {
        const first = 2 * kept * row(view, word);
        return Array.from({ length: kept }, (_, i) => [pairs[first + 2 * i], pairs[first + 2 * i + 1] / 10000]);
      },
      strip(view, word) {
        const first = parts * row(view, word);
        const peak = get("peaks")[view][word] / 255;
        return Array.from(levels.subarray(first, first + parts), (level) => level * peak);
      },
    };
  }

  /** Strong tokens that stand together, as passages [{ first, last, share }, …], the strongest first. */
  function passages(top, most = 3, gap = 3) {
    const sorted = top.filter(([, share]) => share > 0).sort((a, b) => a[0] - b[0]);
    const found = [];
    for (const [token, share] of sorted) {
      const last = found[found.length - 1];
      if (last && token - last.last <= gap) {
        last.last = token;
        last.share += share;
      } else found.push({ first: token, last: token, share });
    }
    return found.sort((a, b) => b.share - a.share || a.first - b.first).slice(0, most);
  }

  /** The document cut where something begins or ends: [{ text, share, place, first }, …]. */
  function segments(text, marks, places) {
    const cuts = new Set([0, text.length]);
    for (const [start, end] of [...marks, ...places]) cuts.add(start).add(end);
    const edges = [...cuts].filter((cut) => cut >= 0 && cut <= text.length).sort((a, b) => a - b);
    return edges.slice(1).map((end, i) => {
      const start = edges[i];
      const mark = marks.find(([a, b]) => a <= start && end <= b);
      const place = places.find(([a, b]) => a <= start && end <= b);
      return { start, text: text.slice(start, end), share: mark ? mark[2] : 0, place: place ? place[2] : "" };
    });
  }

  /** Bars of the strip, an axis below, triangles at the marked places. */
  function draw(kit, context, width, height, values, marks) {
    const { ink, soft, line } = kit.theme;
    const bottom = height - 26;
    const peak = Math.max(1e-6, ...values);
    const step = width / Math.max(1, values.length);
    context.fillStyle = line;
    context.fillRect(0, bottom, width, 1);
    context.fillStyle = kit.fill(2);
    values.forEach((value, i) => {
      const tall = Math.max(value > 0.002 * peak ? 1 : 0, ((bottom - 16) * value) / peak);
      context.fillRect(i * step + 0.5, bottom - tall, Math.max(1, step - 1), tall);
    });
    context.fillStyle = ink;
    for (const share of marks) {
      const x = Math.min(width - 5, Math.max(5, share * width));
      context.beginPath();
      context.moveTo(x, bottom + 2);
      context.lineTo(x - 4.5, bottom + 10);
      context.lineTo(x + 4.5, bottom + 10);
      context.fill();
    }
    context.fillStyle = soft;
    context.font = "12px system-ui, sans-serif";
    context.textBaseline = "bottom";
    context.textAlign = "left";
    context.fillText("beginning", 0, height);
    context.textAlign = "right";
    context.fillText("end of the document", width, height);
    context.textBaseline = "top";
    context.fillText(`highest bar: ${percent(peak)} of the weight`, width, 0);
  }

  return { unpack, read, passages, segments, draw };
})();

explorer("source", (kit) => {
  const { root } = kit;
  const words = kit.get("words");
  const views = kit.get("views");
  const text = kit.get("document");
  const places = kit.get("places");
  const data = SOURCE.read((key) => kit.get(key));
  const total = data.tokens.length;
  // Where the marked places are on the strip, which counts tokens.
  const marked = places.map(([start]) => Math.max(0, data.tokens.findIndex(([, end]) => end > start)) / Math.max(1, total));
  let now = {};

  const choose = (index, focus) => {
    const next = (index + words.length) % words.length;
    kit.set("word", next);
    if (focus) buttons[next].focus();
  };
  const buttons = words.map((word, i) =>
    h("button", { type: "button", class: "lx-word", role: "radio", onclick: () => choose(i) }, word),
  );
  const summary = h(
    "div",
    {
      class: "lx-summary", role: "radiogroup", "aria-label": "Words of the summary",
      onkeydown(event) {
        const step = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[event.key];
        const edge = { Home: 0, End: words.length - 1 }[event.key];
        if (step === undefined && edge === undefined) return;
        event.preventDefault();
        choose(edge ?? kit.get("word") + step, true);
      },
    },
    ...buttons.flatMap((button) => [button, " "]),
  );

  const strip = kit.canvas({
    role: "img",
    height: (width) => (width < 480 ? 96 : 112),
    draw: (context, width, height) => SOURCE.draw(kit, context, width, height, now.strip ?? [], marked),
  });
  const character = (event) => {
    const box = strip.element.getBoundingClientRect();
    const token = Math.floor(((event.clientX - box.left) / box.width) * total);
    return data.tokens[Math.min(total - 1, Math.max(0, token))][0];
  };
  strip.element.addEventListener("click", (event) => scrollTo(character(event)));
  strip.element.style.cursor = "pointer";

  const list = h("ol", { class: "lx-passages" });
  const page = h("div", { class: "lx-text", tabindex: "0", role: "region", "aria-label": "The document" });
  const scrollTo = (at) => {
    const parts = [...page.children];
    const target = parts.findLast((part) => Number(part.dataset.start) <= at) ?? parts[0];
    if (!target) return;
    // A long part without marks: go to the line by its share of the part.
    const within = (at - target.dataset.start) / Math.max(1, target.textContent.length);
    const line = target.offsetTop + within * target.offsetHeight - page.clientHeight / 3;
    page.scrollTop = Math.max(0, line);
    root.dataset.scroll = String(at);
  };
  const where = (token) => `token ${count(token)}, ${percent(token / Math.max(1, total - 1))} of the way`;
  const excerpt = ({ first, last }) => {
    const [start, end] = [data.tokens[first][0], data.tokens[last][1]];
    // Whole words on both sides.
    const left = text.slice(Math.max(0, start - 40), start).replace(/^\S*\s+/, "").replace(/\s+/g, " ");
    const right = text.slice(end, end + 40).replace(/\s+\S*$/, "").replace(/\s+/g, " ");
    return [`… ${left}`, h("b", {}, text.slice(start, end).replace(/\s+/g, " ")), `${right} …`];
  };

  const update = () => {
    const word = Math.min(words.length - 1, Math.max(0, kit.get("word")));
    const view = Math.min(views.length - 1, Math.max(0, kit.get("view")));
    const top = data.top(view, word);
    const strong = SOURCE.passages(top.filter(([token]) => data.tokens[token][1] > data.tokens[token][0]));
    const kept = top.reduce((sum, [, share]) => sum + share, 0);
    now = { strip: data.strip(view, word) };
    buttons.forEach((button, i) => {
      button.setAttribute("aria-checked", String(i === word));
      button.tabIndex = i === word ? 0 : -1;
      const share = data.top(view, i).reduce((sum, [, part]) => sum + part, 0);
      button.style.setProperty("--share", `${Math.round(100 * share)}%`);
    });
    const most = top[0]?.[1] || 1;
    const marks = top
      .map(([token, share]) => [...data.tokens[token], share / most])
      .filter(([start, end]) => end > start);
    page.replaceChildren(
      ...SOURCE.segments(text, marks, places).map(({ start, text: part, share, place }) => {
        const element = h(share ? "mark" : "span", { "data-start": start, title: place || null }, part);
        if (place) element.classList.add("lx-place");
        if (share) element.style.setProperty("--share", share.toFixed(3));
        return element;
      }),
    );
    list.replaceChildren(
      ...strong.map((passage) =>
        h("li", {}, h(
          "button",
          { type: "button", class: "lx-passage", onclick: () => scrollTo(data.tokens[passage.first][0]) },
          h("span", { class: "lx-value" }, percent(passage.share)),
          h("span", {}, ...excerpt(passage)),
          h("span", { class: "lx-name" }, where(passage.first)),
        )),
      ),
    );
    const best = strong[0];
    const spread = kept < 0.25 ? " It looked nowhere in particular." : "";
    kit.say(
      `“${words[word]}”, ${views[view]}: the ${top.length} strongest of ${count(total)} tokens got ${percent(kept)} of its weight.${spread}` +
        (best ? ` Most, ${percent(best.share)}, went to a passage at ${where(best.first)}.` : ""),
    );
    const peak = Math.max(0, ...now.strip);
    strip.element.setAttribute(
      "aria-label",
      `Weight of “${words[word]}” along the document in ${now.strip.length} equal parts; the highest bar is ${percent(peak)}, ` +
        `at ${percent(now.strip.indexOf(peak) / now.strip.length)} of the way.`,
    );
    root.dataset.word = words[word];
    root.dataset.hash = fingerprint(top.map(([token]) => token));
    strip.redraw();
    if (best) scrollTo(data.tokens[best.first][0]);
  };

  const controls = views.length > 1
    ? [kit.chips({ label: "Weights of", key: "view", options: views.map((name, i) => [i, name]), parse: Number })]
    : [];
  root.append(
    h("div", { class: "lx-stack" },
      h("p", { class: "lx-name" }, "Pick a word of the summary. The orange line under a word is the share that its strongest tokens got."),
      summary,
      ...controls,
      kit.live,
      strip.box,
      places.length ? h("p", { class: "lx-name" }, "▲ places that hold a fact of the reference summary. Click the strip to go there.") : "",
      list,
      page,
      h("p", { class: "lx-note" }, "Attention shows where the decoder read, not why it chose a word."),
    ),
  );
  kit.watch(["word", "view"], update);
});
