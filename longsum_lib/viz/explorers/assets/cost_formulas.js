// longsum_lib/budget/formulas.py once more, formula by formula; tests/test_cost_calculator.py holds both equal.

const COST = (() => {
  const { DEFAULTS, STREAMING, ROWS_PER_CALL, ROWS_PER_CHUNK, ROWS_PER_STEP, SCORES_OF_A_HEAD, WORTH_WHILE,
    WORKSPACE, BITS, FIRST_CAPACITY, MOST_ROWS, FUSED_ROWS, FEW_ROWS, NUMBERS_AT_ONCE, ROWS_AT_ONCE, LONGEST } =
    __COST_CONSTANTS__;

  function plan(numbers) {
    const m = { ...DEFAULTS, ...numbers };
    const weights = weightNumbers(m);
    const encoder = encoderBytes(m);
    const decoder = decoderBytes(m);
    const workspace = WORKSPACE[m.device];
    const total = weights.weights + Math.max(encoder, decoder.decoder) + workspace;
    return { ...weights, states: stateBytes(m), encoder, ...decoder, workspace, total, pairs: attentionPairs(m), ...workNumbers(m) };
  }

  // --- weights

  const isT5 = (m) => m.family === "longt5_local" || m.family === "longt5_tglobal";
  const productsOfFfn = (m) => (m.gated ? 3 : 2);

  function weightNumbers(m) {
    if (m.family === "t5gemma2") return weightBytes(m, ...mergedParameters(m));
    const { d_model: d, inner, ffn: f, encoder_layers: enc, decoder_layers: dec, bytes_per_number: size } = m;
    const perAttention = m.family === "led" ? 7 : 4;
    const matrices = (perAttention * enc + 8 * dec) * d * inner;
    const wo = (enc + dec) * d * f;
    const feedForward = productsOfFfn(m) * wo;
    const embeddings = m.vocabulary * d * (m.untied_head ? 2 : 1);
    const quantizable = matrices + feedForward + (byTorch(m) ? embeddings : isT5(m) ? -wo : 0);
    const parameters = matrices + feedForward + embeddings + tables(m) + biasesAndNorms(m);
    const wide = isT5(m) && size === 2 && m.fp16 ? wo * Math.max(0, 4 - size) : 0;
    return weightBytes(m, parameters, quantizable, wide + scaleBytes(m));
  }

  function weightBytes(m, parameters, quantizable, wide = 0) {
    const bits = BITS[m.quantization];
    const quantized = quantizable * (bits ? bits / 8 : m.bytes_per_number);
    return { parameters, quantizable, weights: quantized + (parameters - quantizable) * m.bytes_per_number + wide };
  }

  const byTorch = (m) => m.quantization === "int8" && m.device === "cpu" && m.bytes_per_number === 2 && !m.fp16;

  function scaleBytes(m) {
    if (!byTorch(m)) return 0;
    const { d_model: d, inner, encoder_layers: enc, decoder_layers: dec } = m;
    const perAttention = m.family === "led" ? 6 : 3;
    const rows = (perAttention * enc + 6 * dec) * inner + (enc + 2 * dec) * d;
    return 2 * (rows + (enc + dec) * ((productsOfFfn(m) - 1) * m.ffn + d) + m.vocabulary * (m.untied_head ? 2 : 1));
  }

  function tables(m) {
    const positions = (m.positions + m.decoder_positions) * m.d_model;
    const logitsBias = isT5(m) || m.family === "pegasus_x" ? 0 : m.vocabulary;
    const globalRows = ({ pegasus_x: m.globals, lsg: 512 }[m.family] ?? 0) * m.d_model;
    const buckets = m.buckets * m.heads * (m.family === "longt5_tglobal" ? 3 : 2);
    return positions + logitsBias + globalRows + buckets;
  }

  function biasesAndNorms(m) {
    const { d_model: d, ffn: f, encoder_layers: enc, decoder_layers: dec, family } = m;
    if (isT5(m)) return ((family === "longt5_tglobal" ? 3 : 2) * enc + 3 * dec + 2) * d;
    const norms = 2 * d * ((family === "pegasus_x" ? 3 : 2) * enc + 3 * dec + 2);
    const withBiases = family === "led" || family === "lsg" || family === "full";
    const attention = withBiases ? ((family === "led" ? 7 : 4) * enc + 8 * dec) * d : 0;
    return norms + attention + (enc + dec) * (f + d);
  }

  // --- peaks

  const copyBytes = (m) => m.batch * m.length * m.d_model * m.bytes_per_number;

  function encoderBytes(m) {
    if (m.family === "t5gemma2") return mergedEncoderBytes(m);
    const table = m.family === "pegasus_x" ? m.length * m.d_model * 4 : 0;
    const streams = STREAMING.includes(m.family) && m.batch * m.length > ROWS_PER_STEP[m.device];
    const layer = streams ? streamedBytes(m) : wholeBytes(m);
    return stateBytes(m) + sideBytes(m) + table + layer;
  }

  const stateBytes = (m) => copyBytes(m) * (isT5(m) && m.fp16 ? 2 : 1);
  const sideBytes = (m) => (m.family === "longt5_tglobal" ? (2 * copyBytes(m)) / m.block_size : 0);

  function wholeBytes(m) {
    const copies = copyBytes(m);
    let out = (4 * copies * m.inner) / m.d_model;
    if (m.family === "lsg") out += m.sparsity_factor ? (2 * copies) / m.sparsity_factor : 0;
    else if (m.family !== "led") out += copies;
    const feeding = (copies * m.inner) / m.d_model + chunkBytes(m);
    return Math.max(out + callBytes(m, m.length), feeding);
  }

  function chunkBytes(m) {
    const rows = Math.min(m.batch * m.length, ROWS_PER_CHUNK[m.device]);
    const widened = byTorch(m) ? widenedBytes(m, rows, m.ffn, m.d_model) : 0;
    const [inner, own] = [m.gated ? 4 : 2, m.family === "led" ? 3 : 4];
    return rows * (inner * m.ffn + own * m.d_model) * m.bytes_per_number + widened;
  }

  function widenedBytes(m, rows, inputs, outputs) {
    if (m.half) return 2 * inputs * outputs;
    const some = Math.min(outputs, Math.floor(NUMBERS_AT_ONCE / inputs));
    return 4 * (some * inputs + Math.min(rows, ROWS_AT_ONCE) * (inputs + some));
  }

  function callBytes(m, rows) {
    const most = ROWS_PER_CALL[m.device];
    const call = Math.min(rows, most);
    const output = (rows > most ? 2 : 1) * call * m.inner * m.bytes_per_number;
    const brain = m.device === "cpu" && m.bytes_per_number === 2 && m.half && !m.fp16;
    const stored = brain && !isT5(m) && m.family !== "led";
    const groups = m.device === "gpu" && m.family === "longt5_tglobal" ? rows / m.block_size : 0;
    const near = groups && Math.min(m.length / m.block_size, groups + WORTH_WHILE);
    const scores = stored
      ? 2 * m.heads * Math.min(SCORES_OF_A_HEAD, call * keysPerQuery(m))
      : m.heads * Math.min(groups, most / 4) * near * m.bytes_per_number;
    return output + scores + rows * m.heads * 4;
  }

  function streamedBytes(m) {
    const { length: n, bytes_per_number: size } = m;
    const step = ROWS_PER_STEP[m.device];
    const row = m.inner * size;
    const reach = 2 * (m.family === "bigbird_pegasus" ? m.block_size : m.window);
    const near = Math.min(n, step + reach);
    const rest = Math.max(0, n - step);
    const first = 2 * near + 3 * Math.min(n, step);
    const later = 2 * near + 2 * Math.min(step + reach, rest + reach / 2) + 3 * Math.min(step, rest);
    const attending = Math.max(first, later) * row + callBytes(m, Math.min(n, step));
    const feeding = (2 * near + 2 * Math.min(n, step)) * row + chunkBytes(m);
    const globalScores = m.family === "led" ? 4 * m.globals * m.heads * n * 4 : 0;
    return Math.max(attending, feeding) + globalScores;
  }

  // Room for written tokens while it grows for the last time: what there was and what there will be.
  function slots(tokens) {
    let [room, before] = [Math.min(tokens, FIRST_CAPACITY), 0];
    while (room < tokens) [room, before] = [Math.min(2 * room, tokens), room];
    return room + before;
  }

  function decoderBytes(m) {
    if (m.family === "t5gemma2") return mergedDecoderBytes(m);
    const copies = copyBytes(m);
    const perCopy = m.inner / m.d_model;
    const cross = 2 * m.decoder_layers * copies * perCopy;
    const rows = m.batch * m.beams;
    const own = 2 * m.decoder_layers * rows * m.new_tokens * m.inner * m.bytes_per_number;
    const logits = 6 * rows * m.vocabulary * 4;
    let table = m.family === "pegasus_x" ? (m.length + 1024) * m.d_model * 4 : 0;
    let passing = 2 * copies * perCopy + own + logits;
    if (m.device === "cpu") {
      const size = m.bytes_per_number;
      table += 3 * m.decoder_layers * m.d_model * m.inner * (byTorch(m) ? 1 : size);
      let written = 2 * m.decoder_layers * rows * slots(m.new_tokens + 1) * m.inner * size;
      written += m.beams > 1 ? own / m.decoder_layers : 0;
      const fused = size === 2 && !m.half && !m.fp16 && m.beams >= FUSED_ROWS;
      const scores = fused ? 0 : 2 * Math.min(m.beams, MOST_ROWS) * m.heads * m.length * size;
      const many = byTorch(m) && rows > FEW_ROWS;
      const widened = many ? widenedBytes(m, rows, m.d_model, m.vocabulary) : 0;
      passing = Math.max(copies * perCopy, written + Math.max(logits, scores, widened + logits / 6));
    }
    const decoder = copies + table + cross + passing;
    return { decoder, cross_cache: cross, self_cache: own };
  }

  // --- work

  function windowPairs(length, window) {
    const w = Math.min(window, length - 1);
    return length * (2 * w + 1) - w * (w + 1);
  }

  function attentionPairs(m) {
    const { length: n, family, block_size: block } = m;
    if (family === "led") return windowPairs(n, m.window) + m.globals * n;
    if (family === "longt5_local") return windowPairs(n, m.window);
    if (family === "longt5_tglobal") return windowPairs(n, m.window) + n * Math.floor(n / block);
    if (family === "pegasus_x") return Math.floor(n / block) * block * block + (n % block) ** 2 + n * m.globals;
    if (family === "bigbird_pegasus" && n > (5 + 2 * m.random_blocks) * block) return bigBirdPairs(n, block);
    if (family === "lsg") return lsgPairs(m);
    if (family === "t5gemma2") return mergedPairs(m);
    return n * n;
  }

  function bigBirdPairs(n, block) {
    const blocks = Math.ceil(n / block);
    const last = n - (blocks - 1) * block;
    return (block + last) * n + block * (2 * (3 * block + last) + (blocks - 4) * (4 * block + last));
  }

  function lsgPairs(m) {
    const { length: n, block_size: block, globals: g, sparsity_factor: factor, sparse_block_size: width } = m;
    const withGlobals = g * n + g * (n + g);
    if (n <= 2 * block) return n * n + withGlobals;
    const blocks = Math.ceil(n / block);
    const last = n - (blocks - 1) * block;
    let pairs = (3 * blocks - 5) * block * block + 2 * block * last + last * last;
    if (factor) {
      const step = Math.floor(block / factor);
      const left = block * growingSum(blocks - 2, step, 0, width) + last * Math.min(width, (blocks - 2) * step);
      pairs += left + block * growingSum(blocks - 2, step, Math.ceil(last / factor), width);
    }
    return pairs + withGlobals;
  }

  function growingSum(count, step, first, most) {
    const growing = Math.max(0, Math.min(count, Math.ceil((most - first) / step)));
    return growing * first + (step * growing * (growing - 1)) / 2 + most * (count - growing);
  }

  const keysPerQuery = (m) => attentionPairs(m) / m.length;

  function workNumbers(m) {
    if (m.family === "t5gemma2") return mergedWork(m);
    const { length: n, d_model: d, inner, batch } = m;
    const token = 4 * d * inner + productsOfFfn(m) * d * m.ffn;
    const layer = n * token + 2 * attentionPairs(m) * inner + globalWork(m, token);
    const seen = 2 * inner * (n + m.new_tokens / 2);
    const step = m.decoder_layers * (token + 2 * d * inner + seen) + d * m.vocabulary;
    return {
      encoder_work: batch * m.encoder_layers * layer,
      cross_work: batch * m.decoder_layers * 2 * n * d * inner,
      token_work: batch * m.beams * step,
    };
  }

  function globalWork(m, token) {
    const { length: n, d_model: d, inner, globals: g } = m;
    if (m.family === "pegasus_x") return g * token + 2 * g * (n + g) * inner;
    if (m.family === "longt5_tglobal") return 2 * Math.floor(n / m.block_size) * d * inner;
    if (m.family === "led")
      return g * m.heads < d ? 2 * g * m.heads * n * d : 2 * n * d * inner + 2 * g * n * inner;
    return 0;
  }

  // --- T5Gemma 2, see longsum_lib/budget/merged.py

  function mergedParameters(m) {
    const { d_model: d, inner: q, key_inner: k, ffn: f } = m;
    const layers = m.encoder_layers + m.decoder_layers;
    const size = q / m.heads;
    const matrices = layers * d * (2 * q + 2 * k + 3 * f);
    const norms = layers * (4 * d + 2 * size) + 2 * d;
    return [matrices + m.vocabulary * d + norms + d + 4 * size + 2, matrices];
  }

  function mergedPairs(m) {
    const { length: n, window: w } = m;
    const whole = m.full_layers / m.encoder_layers;
    const [left, right] = [Math.min(Math.floor((w + 1) / 2) - 1, n - 1), Math.min(Math.floor(w / 2), n - 1)];
    const near = n * (left + right + 1) - (left * (left + 1)) / 2 - (right * (right + 1)) / 2;
    return (1 - whole) * near + whole * n * n;
  }

  function mergedEncoderBytes(m) {
    const { d_model: d, inner: q, key_inner: k, bytes_per_number: size } = m;
    const feeding = d + 3 * m.ffn;
    const turning = Math.max((size < 4 ? 5 : 4) * q + 2 * k, 2 * q + 5 * k);
    const angles = (4 * q) / m.heads;
    return m.length * (m.batch * (3 * d + Math.max(feeding, turning)) + angles) * size;
  }

  function mergedDecoderBytes(m) {
    const { bytes_per_number: size, key_inner: k, decoder_layers: layers } = m;
    const rows = m.batch * m.beams;
    const read = rows * m.length * k * size;
    const cross = 2 * layers * read;
    const own = 2 * layers * rows * m.new_tokens * k * size;
    const states = rows * m.length * m.d_model * size;
    const joined = (size < 4 ? 4 : 2) * read + own / layers;
    const logits = 4 * rows * m.vocabulary * 4;
    return { decoder: states + cross + own + joined + logits, cross_cache: cross, self_cache: own };
  }

  function mergedWork(m) {
    const { length: n, d_model: d, inner: q, key_inner: k } = m;
    const token = 2 * d * (q + k) + 3 * d * m.ffn;
    const rows = m.batch * m.beams;
    const seen = 2 * q * (n + m.new_tokens / 2);
    return {
      encoder_work: m.batch * m.encoder_layers * (n * token + 2 * mergedPairs(m) * q),
      cross_work: rows * m.decoder_layers * 2 * n * d * k,
      token_work: rows * (m.decoder_layers * (token + seen) + d * m.vocabulary),
    };
  }

  /** The longest input in tokens that fits into so many bytes; 0 if none does. */
  function largestInput(numbers, memory) {
    let shortest = 0;
    let longest = numbers.limit || LONGEST;
    while (shortest < longest) {
      const middle = Math.floor((shortest + longest + 1) / 2);
      if (plan({ ...numbers, length: middle }).total <= memory) shortest = middle;
      else longest = middle - 1;
    }
    return shortest;
  }

  // --- a decoder whose prompt is the document, see longsum_lib/budget/decoder.py

  function cacheBytes({ layers, key_heads, head_dim, left = null, full_every = 1 }, tokens, itemsize) {
    const windows = left === null ? 0 : layers - Math.floor(layers / full_every);
    const kept = (layers - windows) * tokens + windows * Math.min(tokens, left ?? 0);
    return 2 * kept * key_heads * head_dim * itemsize;
  }

  function decoderPlan(model, run) {
    const m = { ...DEFAULTS, ...run };
    const bits = BITS[m.quantization];
    const weights = model.parameters * (bits ? bits / 8 : m.bytes_per_number);
    const cache = m.batch * m.beams * cacheBytes(model, m.length + m.new_tokens, m.bytes_per_number);
    return { weights, cache, total: weights + cache };
  }

  return { plan, largestInput, decoderPlan };
})();
