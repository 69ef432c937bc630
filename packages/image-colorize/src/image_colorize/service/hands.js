// Mouse, pen, finger and keys; the wheel of colours.
const wheel = $("wheel"), wheelContext = wheel.getContext("2d"), WHEEL_AB = 100;
let dragged = null, moved = false, panned = null, added = false, pointers = new Map(), wheelLightness = 60;

function hintAt(x, y) {
  const near = state.hints.map((hint) => {
    const [hx, hy] = toCanvas(hint);
    return [Math.hypot(hx - x, hy - y), hint];
  }).filter(([distance]) => distance <= NEAR);
  return near.sort((one, other) => one[0] - other[0])[0]?.[1] ?? null;
}

canvas.addEventListener("pointerdown", (event) => {
  if (!state.image) return;
  canvas.setPointerCapture(event.pointerId);
  pointers.set(event.pointerId, [event.offsetX, event.offsetY]);
  const place = toImage(event.offsetX, event.offsetY), hint = hintAt(event.offsetX, event.offsetY);
  if (event.button === 2) { if (hint) removeHint(hint.id); return; }
  if (event.button === 1 || event.shiftKey || pointers.size > 1) {
    if (added) takeBack();   // the first of two fingers meant no hint
    added = false;
    panned = [event.offsetX, event.offsetY];
    dragged = null;
    return;
  }
  if (dropper) {
    if (inside(place)) recolour(colourAt(...place));
    setDropper(false);
    return;
  }
  moved = false;
  if (hint) {
    dragged = { id: hint.id, from: state.hints };
    state.selected = hint.id;
    state.colour = hint.rgb;
    aim(hint.x, hint.y);
    showColours();
    draw();
  } else if (inside(place)) {
    aim(...place);
    addHint(...place);
    added = true;
  }
});

canvas.addEventListener("pointermove", (event) => {
  const last = pointers.get(event.pointerId);
  if (panned && last) {
    if (pointers.size === 2) {
      const [other] = [...pointers].filter(([id]) => id !== event.pointerId).map(([, at]) => at);
      const far = ([x, y]) => Math.hypot(x - other[0], y - other[1]) || 1;
      zoomAt(far([event.offsetX, event.offsetY]) / far(last), ...other);
    } else {
      pan = [pan[0] + event.offsetX - last[0], pan[1] + event.offsetY - last[1]];
    }
    draw();
  }
  if (last) pointers.set(event.pointerId, [event.offsetX, event.offsetY]);
  if (!dragged) return;
  const [x, y] = toImage(event.offsetX, event.offsetY).map((part) => Math.min(1, Math.max(0, part)));
  moved = true;
  state.hints = state.hints.map((hint) => (hint.id === dragged.id ? { ...hint, x, y } : hint));
  colourize();
});

function lift(event) {
  pointers.delete(event.pointerId);
  added = false;
  if (!pointers.size) panned = null;
  if (dragged && moved) {
    const hints = state.hints;
    state.hints = dragged.from;
    change(hints, dragged.id);
  }
  dragged = null;
}
canvas.addEventListener("pointerup", lift);
canvas.addEventListener("pointercancel", lift);
canvas.addEventListener("contextmenu", (event) => event.preventDefault());
canvas.addEventListener("wheel", (event) => {
  event.preventDefault();
  zoomAt(Math.exp(-event.deltaY / 400), event.offsetX, event.offsetY);
  draw();
}, { passive: false });

function zoomAt(factor, x, y) {
  const next = Math.min(40, Math.max(0.05, zoom * factor));
  pan = [x - (x - pan[0]) * next / zoom, y - (y - pan[1]) * next / zoom];
  zoom = next;
}

function nudge(dx, dy) {
  change(state.hints.map((hint) => (hint.id === state.selected ? {
    ...hint,
    x: Math.min(1, Math.max(0, hint.x + dx / shownWidth)),
    y: Math.min(1, Math.max(0, hint.y + dy / shownHeight)),
  } : hint)));
}

const KEYS = {
  Delete: () => removeHint(state.selected),
  Backspace: () => removeHint(state.selected),
  Escape: () => { state.selected = null; setDropper(false); draw(); },
  e: () => setDropper(!dropper),
  a: () => toggleOverlay("attention"),
  r: () => toggleOverlay("reach"),
  b: () => { slider = slider < 1 ? 1 : 0; $("slider").value = slider; draw(); },
  n: () => {
    const ids = state.hints.map((hint) => hint.id);
    state.selected = ids[(ids.indexOf(state.selected) + 1) % ids.length] ?? null;
    draw();
  },
  0: () => { fit(); draw(); },
  "+": () => { zoomAt(1.25, canvas.width / 2, canvas.height / 2); draw(); },
  "-": () => { zoomAt(0.8, canvas.width / 2, canvas.height / 2); draw(); },
};
const ARROWS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };

addEventListener("keydown", (event) => {
  if (!state.image || event.target.id === "colour") return;
  if (event.target.type === "range" && ARROWS[event.key]) return;   // its own
  const command = event.ctrlKey || event.metaKey;
  if (command && event.key.toLowerCase() === "z") { if (event.shiftKey) redo(); else undo(); }
  else if (command && event.key.toLowerCase() === "y") redo();
  else if (command) return;
  else if (ARROWS[event.key] && state.selected !== null)
    nudge(...ARROWS[event.key].map((step) => step * (event.shiftKey ? 10 : 2)));
  else if (KEYS[event.key]) KEYS[event.key]();
  else return;
  event.preventDefault();
});

function setDropper(on) {
  dropper = on;
  canvas.classList.toggle("dropper", on);
  $("dropper").setAttribute("aria-pressed", on);
}

async function toggleOverlay(kind) {
  overlay = overlay === kind ? "" : kind;
  for (const id of ["reach", "attention"]) $(id).setAttribute("aria-pressed", overlay === id);
  if (overlay === "attention") await askAttention();
  draw();
}

// The colours that can be displayed at the lightness of the place in question.
function aim(x, y) {
  wheelLightness = lightnessAt(x, y);
  drawWheel();
  if (!chroma) return;
  const size = state.image.size;
  const at = 2 * (Math.min(size - 1, Math.floor(y * size)) * size + Math.min(size - 1, Math.floor(x * size)));
  const own = [chroma[at], chroma[at + 1]];
  suggest([1, 1.6, 0.5].map((part) => own.map((value) => value * part)));
}

function suggest(choices) {
  const colours = choices.map(([a, b]) => [...displayed(wheelLightness, a, b, [0, 0, 0])]);
  swatches("suggestions", colours, (rgb) => recolour(rgb));
}

function drawWheel() {
  const side = wheel.width, data = wheelContext.createImageData(side, side), colour = [0, 0, 0];
  for (let y = 0; y < side; y++)
    for (let x = 0; x < side; x++) {
      const [a, b] = wheelPlace(x, y);
      if (!inGamut(wheelLightness, a, b)) continue;
      displayed(wheelLightness, a, b, colour);
      data.data.set([colour[0], colour[1], colour[2], 255], 4 * (y * side + x));
    }
  wheelContext.putImageData(data, 0, 0);
  const [, a, b] = rgbToLab(state.colour);
  wheelContext.beginPath();
  wheelContext.arc((a / WHEEL_AB + 1) * side / 2, (1 - b / WHEEL_AB) * side / 2, 5, 0, 2 * Math.PI);
  wheelContext.strokeStyle = wheelLightness > 60 ? "#000" : "#fff";
  wheelContext.stroke();
}

const wheelPlace = (x, y) =>
  [(2 * x / wheel.width - 1) * WHEEL_AB, (1 - 2 * y / wheel.height) * WHEEL_AB];

wheel.addEventListener("pointerdown", (event) => {
  const scale = wheel.width / wheel.clientWidth;
  const [a, b] = wheelPlace(event.offsetX * scale, event.offsetY * scale);
  recolour([...displayed(wheelLightness, a, b, [0, 0, 0])]);
});

function swatches(id, colours, use, drop) {
  $(id).replaceChildren(...colours.map((rgb) => {
    const button = document.createElement("button");
    button.className = "swatch";
    button.style.setProperty("background", hex(rgb));
    button.title = hex(rgb);
    button.addEventListener("click", () => use(rgb));
    if (drop) button.addEventListener("contextmenu", (event) => { event.preventDefault(); drop(rgb); });
    return button;
  }));
}

function showColours() {
  $("colour").value = hex(state.colour);
  $("now").style.setProperty("background", hex(state.colour));
  swatches("recent", state.recent, recolour);
  swatches("palette", state.palette, recolour, (rgb) => {
    state.palette = state.palette.filter((other) => hex(other) !== hex(rgb));
    remember();
    showColours();
  });
  drawWheel();
}

// A second photograph to take colours from; it stays in the browser.
async function openReference(file) {
  const picture = await createImageBitmap(file), sheet = $("reference");
  const scale = Math.min(1, 240 / picture.width);
  sheet.width = Math.round(picture.width * scale);
  sheet.height = Math.round(picture.height * scale);
  sheet.hidden = false;
  sheet.getContext("2d").drawImage(picture, 0, 0, sheet.width, sheet.height);
}

$("reference").addEventListener("pointerdown", (event) => {
  const sheet = event.target, scale = sheet.width / sheet.clientWidth;
  const place = [event.offsetX * scale, event.offsetY * scale].map(Math.floor);
  const data = sheet.getContext("2d").getImageData(...place, 1, 1).data;
  recolour([data[0], data[1], data[2]]);
});

const onFile = (id, use) => $(id).addEventListener("change", (event) => {
  if (event.target.files[0]) use(event.target.files[0]);
  event.target.value = "";
});
onFile("file", openFile);
onFile("other", openReference);
onFile("hints", async (file) => {
  try {
    const read = await (await ask("hints", await file.text(), "application/json")).json();
    change(read.hints);
    const foreign = read.sha256 && read.sha256 !== state.image.id;
    tell([...state.image.remarks, ...(foreign ? ["the hints were made for another image"] : [])]);
  } catch (error) { say(`${file.name}: ${error.message}`, true); }
});

const onClick = (id, act) => $(id).addEventListener("click", act);
onClick("undo", undo);
onClick("redo", redo);
onClick("clear", () => state.hints.length && change([]));
onClick("dropper", () => setDropper(!dropper));
onClick("reach", () => toggleOverlay("reach"));
onClick("attention", () => toggleOverlay("attention"));
onClick("fit", () => { fit(); draw(); });
onClick("keep", () => {
  state.palette = [...state.palette.filter((other) => hex(other) !== hex(state.colour)), state.colour];
  remember();
  showColours();
});
onClick("save", () => download(`image/${state.image.id}/file`,
  JSON.stringify({ hints: state.hints, strength: state.strength, pin: state.pin, name: state.image.name })));
onClick("savehints", () => save(
  new Blob([JSON.stringify(hintFile(), null, 1)], { type: "application/json" }),
  state.image.name.replace(/\.[^.]*$/, "") + ".hints.json"));
$("colour").addEventListener("change", (event) => {
  const rgb = parseColour(event.target.value);
  if (rgb) recolour(rgb); else say("write a colour as #b4463c or 180 70 60", true);
});
$("slider").addEventListener("input", (event) => { slider = Number(event.target.value); draw(); });
$("strength").addEventListener("input", (event) => {
  state.strength = Number(event.target.value);
  remember();
  mergeAll();
  draw();
});
$("pin").addEventListener("change", (event) => { state.pin = event.target.checked; changed(); });
addEventListener("resize", () => { if (state.image) { fit(); draw(); } });
addEventListener("dragover", (event) => event.preventDefault());
addEventListener("drop", (event) => {
  event.preventDefault();
  if (event.dataTransfer.files[0]) openFile(event.dataTransfer.files[0]);
});

(async () => {
  const { palette, recent } = recall("image-colorize");
  Object.assign(state, { palette: palette || [], recent: recent || [] });
  showColours();
  try { await showFirst(); } catch (error) { say(error.message, true); }
})();
