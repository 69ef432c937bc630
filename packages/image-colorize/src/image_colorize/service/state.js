// What is on the page: the image, its hints with their history, the chosen colour.
const MAX_HISTORY = 200, MAX_RECENT = 12;
const state = {
  image: null,      // {id, width, height, size, name}
  hints: [], past: [], future: [], selected: null,
  colour: [180, 70, 60], strength: 1, pin: false,
  recent: [], palette: [],
};

const keyOf = (id) => "image-colorize:" + id;

function remember() {
  if (!state.image) return;
  const kept = { hints: state.hints, strength: state.strength, pin: state.pin };
  try {
    localStorage.setItem(keyOf(state.image.id), JSON.stringify(kept));
    localStorage.setItem("image-colorize", JSON.stringify({ palette: state.palette, recent: state.recent }));
  } catch { /* a full or forbidden store costs the memory alone */ }
}

function recall(name) {
  try { return JSON.parse(localStorage.getItem(name)) || {}; } catch { return {}; }
}

// Every change goes through here, so that each can be undone.
function change(hints, selected = state.selected) {
  state.past.push(state.hints);
  if (state.past.length > MAX_HISTORY) state.past.shift();
  state.future = [];
  state.hints = hints;
  state.selected = selected;
  changed();
}

function changed() {
  if (!state.hints.some((hint) => hint.id === state.selected)) state.selected = null;
  remember();
  colourize();
}

function undo() {
  if (!state.past.length) return;
  state.future.push(state.hints);
  state.hints = state.past.pop();
  changed();
}

// The last change as if it had never been.
function takeBack() {
  state.hints = state.past.pop();
  changed();
}

function redo() {
  if (!state.future.length) return;
  state.past.push(state.hints);
  state.hints = state.future.pop();
  changed();
}

function addHint(x, y, rgb = state.colour) {
  const id = 1 + Math.max(0, ...state.hints.map((hint) => hint.id));
  useColour(rgb);
  change([...state.hints, { x, y, rgb, id }], id);
}

function removeHint(id) {
  if (id !== null) change(state.hints.filter((hint) => hint.id !== id));
}

function recolour(rgb) {
  useColour(rgb);
  if (state.selected !== null)
    change(state.hints.map((hint) => (hint.id === state.selected ? { ...hint, rgb } : hint)));
}

function useColour(rgb) {
  state.colour = rgb;
  state.recent = [rgb, ...state.recent.filter((other) => hex(other) !== hex(rgb))].slice(0, MAX_RECENT);
  remember();
  showColours();
}

// The hint file that page, command, batch, video and Python share.
function hintFile() {
  const { id, width, height } = state.image;
  return { version: 1, image: { sha256: id, width, height }, hints: state.hints };
}
