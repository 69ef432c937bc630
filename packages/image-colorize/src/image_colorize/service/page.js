// The page: what is drawn, what is asked of the service, what hands and keys do.
const $ = (id) => document.getElementById(id);
const canvas = $("canvas"), context = canvas.getContext("2d");
const MARK = 7, NEAR = 12, MAX_SIDE = 1920;
let lightness = null, shownWidth = 0, shownHeight = 0;   // of what is on the canvas
let chroma = null, before = null, coloured = null, grey = null;
let zoom = 1, pan = [0, 0], slider = 1, dropper = false, overlay = "", drawn = null;
let asked = 0, running = false, waiting = false;
const OPEN = "image-colorize:open";   // the image of this tab
const token = new URLSearchParams(location.hash.slice(1)).get("token");
const headers = token ? { Authorization: "Bearer " + token } : {};

function say(text, wrong = false) {
  $("status").textContent = text;
  $("status").className = wrong ? "wrong" : "";
}

// What was passed over, guessed or left out.
function tell(remarks) {
  $("remarks").textContent = remarks.join(" · ");
  $("remarks").hidden = !remarks.length;
}

async function ask(path, body, type) {
  const extra = type ? { "Content-Type": type } : {};
  const method = body === undefined ? "GET" : "POST";
  const answer = await fetch(path, { method, body, headers: { ...headers, ...extra } });
  if (answer.ok) return answer;
  let reason = answer.statusText;
  try { reason = (await answer.json()).detail; } catch { /* no reason came */ }
  throw new Error(typeof reason === "string" ? reason : "the service did not understand");
}

async function openFile(file) {
  say("Opening " + file.name + " …");
  const form = new FormData();
  form.append("file", file);
  try {
    await show({ ...(await (await ask("image", form)).json()), name: file.name });
  } catch (error) { say(`${file.name}: ${error.message}`, true); }
}

// The image that this tab had before a reload, or that the command named.
async function showFirst() {
  const last = JSON.parse(sessionStorage.getItem(OPEN) || "null");
  try {
    const known = last && { ...(await (await ask(`image/${last.id}`)).json()), name: last.name };
    if (known) return await show(known);
  } catch { /* it is held no longer */ }
  const first = await (await ask("first")).json();
  if (first.id) await show(first); else say("Open a photograph, or drop one here.");
}

async function show(image) {
  const picture = await createImageBitmap(await (await ask(`image/${image.id}/grey`)).blob());
  [shownWidth, shownHeight] = [picture.width, picture.height];
  const sheet = new OffscreenCanvas(shownWidth, shownHeight);
  const paint = sheet.getContext("2d");
  paint.drawImage(picture, 0, 0);
  const data = paint.getImageData(0, 0, shownWidth, shownHeight).data;
  lightness = new Float32Array(shownWidth * shownHeight);
  for (let n = 0; n < lightness.length; n++) lightness[n] = LIGHTNESS[data[4 * n]];
  const kept = recall(keyOf(image.id));
  Object.assign(state, {
    image, hints: kept.hints || [], strength: kept.strength ?? 1, pin: kept.pin || false,
    past: [], future: [], selected: null,
  });
  chroma = before = null;
  grey = greySheet();
  coloured = grey;   // until the first colours come
  $("strength").value = state.strength;
  $("pin").checked = state.pin;
  $("name").textContent = `${image.name} · ${image.width} × ${image.height}`;
  sessionStorage.setItem(OPEN, JSON.stringify({ id: image.id, name: image.name }));
  tell(image.remarks);
  $("tools").disabled = false;
  fit();
  drawWheel();
  await colourize();
}

// One request at a time; of those that wait the latest wins.
async function colourize() {
  if (!state.image) return;
  draw();
  asked += 1;
  if (running) { waiting = true; return; }
  running = true;
  do {
    waiting = false;
    const number = asked, image = state.image.id;
    const body = JSON.stringify({ hints: state.hints, pin: state.pin });
    const started = performance.now();
    try {
      const answer = await ask(`image/${image}/chroma`, body, "application/json");
      const values = new Int16Array(await answer.arrayBuffer());
      if (number === asked && image === state.image.id) {
        before = chroma;
        chroma = Float32Array.from(values, (value) => value / 100);
        mergeAll();
        draw();
        say(`${state.hints.length} hints · ${Math.round(performance.now() - started)} ms`);
        document.body.dataset.done = String(number);
        if (overlay === "attention") await askAttention();
      }
    } catch (error) { say(error.message, true); }
  } while (waiting);
  running = false;
}

function mergeAll() {
  if (!chroma) return;
  const data = new ImageData(shownWidth, shownHeight);
  merge(lightness, shownWidth, shownHeight, chroma, state.image.size, state.strength, data.data);
  coloured = new OffscreenCanvas(shownWidth, shownHeight);
  coloured.getContext("2d").putImageData(data, 0, 0);
}

function greySheet() {
  const data = new ImageData(shownWidth, shownHeight), colour = [0, 0, 0];
  for (let n = 0; n < lightness.length; n++) {
    displayed(lightness[n], 0, 0, colour);
    data.data.set([colour[0], colour[1], colour[2], 255], 4 * n);
  }
  const sheet = new OffscreenCanvas(shownWidth, shownHeight);
  sheet.getContext("2d").putImageData(data, 0, 0);
  return sheet;
}

function fit() {
  const room = $("stage").getBoundingClientRect();
  canvas.width = Math.max(200, Math.floor(room.width));
  canvas.height = Math.max(200, Math.floor(room.height));
  zoom = Math.min(canvas.width / shownWidth, canvas.height / shownHeight);
  pan = [(canvas.width - zoom * shownWidth) / 2, (canvas.height - zoom * shownHeight) / 2];
}

const toCanvas = (hint) => [pan[0] + hint.x * shownWidth * zoom, pan[1] + hint.y * shownHeight * zoom];
const toImage = (x, y) => [(x - pan[0]) / (shownWidth * zoom), (y - pan[1]) / (shownHeight * zoom)];
const inside = ([x, y]) => x >= 0 && x <= 1 && y >= 0 && y <= 1;

function draw() {
  context.fillStyle = "#808080";
  context.fillRect(0, 0, canvas.width, canvas.height);
  if (!coloured) return;
  context.save();
  context.translate(...pan);
  context.scale(zoom, zoom);
  context.imageSmoothingEnabled = zoom < 4;
  context.drawImage(coloured, 0, 0);
  if (slider < 1 && grey) {
    const cut = slider * shownWidth;
    context.drawImage(grey, cut, 0, shownWidth - cut, shownHeight,
      cut, 0, shownWidth - cut, shownHeight);
  }
  const sheet = overlaySheet();
  if (sheet) context.drawImage(sheet, 0, 0, shownWidth, shownHeight);
  context.restore();
  for (const hint of state.hints) {
    const [x, y] = toCanvas(hint);
    context.beginPath();
    context.arc(x, y, MARK, 0, 2 * Math.PI);
    context.fillStyle = hex(hint.rgb);
    context.fill();
    context.lineWidth = hint.id === state.selected ? 4 : 2;
    context.strokeStyle = "#000";
    context.stroke();
    context.lineWidth = hint.id === state.selected ? 2 : 1;
    context.strokeStyle = "#fff";
    context.stroke();
  }
}

// Where and how far the last change of the hints changed the colours, or where the network drew on
// the chosen hint: a tint of 0..255 for each place.
function overlaySheet() {
  const tints = overlay === "reach" && before ? reachTints() : overlay === "attention" ? drawn : null;
  if (!tints) return null;
  const size = state.image.size, data = new ImageData(size, size);
  for (let n = 0; n < size * size; n++) data.data.set([255, 0, 255, tints[n]], 4 * n);
  const sheet = new OffscreenCanvas(size, size);
  sheet.getContext("2d").putImageData(data, 0, 0);
  return sheet;
}

function reachTints() {
  return Uint8ClampedArray.from({ length: chroma.length / 2 }, (_, n) => {
    const far = Math.hypot(chroma[2 * n] - before[2 * n], chroma[2 * n + 1] - before[2 * n + 1]);
    return far > REACH ? Math.min(200, 60 + 6 * far) : 0;
  });
}

async function askAttention() {
  drawn = null;
  if (!state.hints.length) return say("Add a hint first.");
  const number = asked, image = state.image.id, chosen = (hint) => hint.id === state.selected;
  const hints = [...state.hints.filter((hint) => !chosen(hint)), ...state.hints.filter(chosen)];
  try {
    const body = JSON.stringify({ hints, pin: state.pin });
    const answer = await ask(`image/${image}/attention`, body, "application/json");
    const tints = new Uint8Array(await answer.arrayBuffer()).map((value) => 0.8 * value);
    if (number === asked && image === state.image.id) { drawn = tints; draw(); }
  } catch (error) { say(error.message, true); }
}

function colourAt(x, y) {
  if (!coloured) return null;
  const place = [Math.floor(x * shownWidth), Math.floor(y * shownHeight)];
  const data = coloured.getContext("2d").getImageData(...place, 1, 1).data;
  return [data[0], data[1], data[2]];
}

function lightnessAt(x, y) {
  const row = Math.min(shownHeight - 1, Math.floor(y * shownHeight));
  return lightness[row * shownWidth + Math.min(shownWidth - 1, Math.floor(x * shownWidth))];
}

async function download(path, body, name) {
  try {
    const answer = await ask(path, body, "application/json");
    save(await answer.blob(), decodeURIComponent(answer.headers.get("X-Name") || name));
    const left = decodeURIComponent(answer.headers.get("X-Remarks") || "");
    if (left) tell([...state.image.remarks, left]);
  } catch (error) { say(error.message, true); }
}

function save(blob, name) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(blob);
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10000);
}
