
"use strict";
// Voxel (x, y, z) lies at x + width * (y + height * z). A scan's x, y, z run to the patient's right, front and top,
// an image's are columns, rows from the top and pages.
const data = JSON.parse(document.getElementById("data").textContent);
const [NX, NY, NZ] = data.size;
const PLANES = data.image_only
  ? [{ name: NZ > 1 ? "Page" : "Image", along: 2, across: 0, down: 1, flip: [false, false], letters: null }]
  : [
      { name: "Axial", along: 2, across: 0, down: 1, flip: [true, true], letters: "RLAP" },
      { name: "Coronal", along: 1, across: 0, down: 2, flip: [true, true], letters: "RLSI" },
      { name: "Sagittal", along: 0, across: 1, down: 2, flip: [true, true], letters: "APSI" },
    ].filter((plane) => NZ > 1 || plane.along === 2);
const STEP = [1, NX, NX * NY];
const SIDE = 900; // pixels of the longest side of a canvas
const state = { opacity: 0.5, brightness: 0, contrast: 0, smooth: true, hidden: new Set() };
const input = (id) => document.getElementById(id);
let image, labels, place;

async function unpack(text) {
  const bytes = Uint8Array.from(atob(text), (c) => c.charCodeAt(0));
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
  return new Uint8Array(await new Response(stream).arrayBuffer());
}

function middle() {
  // The slices that show most of what was found, or the middle where nothing was.
  const counts = data.size.map((n) => new Uint32Array(n));
  let any = false;
  for (let z = 0, i = 0; z < NZ; z++)
    for (let y = 0; y < NY; y++)
      for (let x = 0; x < NX; x++, i++)
        if (labels[i]) { counts[0][x]++; counts[1][y]++; counts[2][z]++; any = true; }
  return counts.map((axis, n) => (any ? axis.indexOf(Math.max(...axis)) : data.size[n] >> 1));
}

function build(plane) {
  const figure = document.createElement("figure");
  const caption = document.createElement("figcaption");
  const frame = document.createElement("div");
  plane.text = document.createElement("span");
  const name = document.createElement("b");
  name.textContent = plane.name;
  caption.append(name, plane.text);
  frame.className = "frame";
  plane.canvas = document.createElement("canvas");
  const width = data.size[plane.across] * data.spacing[plane.across];
  const height = data.size[plane.down] * data.spacing[plane.down];
  const scale = SIDE / Math.max(width, height);
  plane.canvas.width = Math.max(1, Math.round(width * scale));
  plane.canvas.height = Math.max(1, Math.round(height * scale));
  frame.append(plane.canvas);
  if (plane.letters)
    ["left", "right", "top", "bottom"].forEach((side, n) => {
      const letter = document.createElement("span");
      letter.className = "letter " + side;
      letter.textContent = plane.letters[n];
      frame.append(letter);
    });
  figure.append(caption, frame);
  plane.slider = document.createElement("input");
  Object.assign(plane.slider, { type: "range", min: 0, max: data.size[plane.along] - 1, value: place[plane.along] });
  plane.slider.setAttribute("aria-label", plane.name + " slice");
  plane.slider.addEventListener("input", () => move(plane.along, +plane.slider.value));
  if (data.size[plane.along] > 1) figure.append(plane.slider);
  plane.canvas.addEventListener("wheel", (event) => {
    event.preventDefault();
    move(plane.along, place[plane.along] + Math.sign(event.deltaY));
  }, { passive: false });
  plane.canvas.addEventListener("pointerdown", (event) => jump(plane, event));
  plane.canvas.addEventListener("pointermove", (event) => { if (event.buttons) jump(plane, event); });
  input("views").append(figure);
}

function move(axis, value) {
  place[axis] = Math.min(data.size[axis] - 1, Math.max(0, value));
  draw();
}

function jump(plane, event) {
  const box = plane.canvas.getBoundingClientRect();
  // object-fit: contain leaves bars where the box has another shape than the image
  const scale = Math.min(box.width / plane.canvas.width, box.height / plane.canvas.height);
  const left = (box.width - plane.canvas.width * scale) / 2, top = (box.height - plane.canvas.height * scale) / 2;
  [[plane.across, (event.clientX - box.left - left) / (plane.canvas.width * scale), plane.flip[0]],
   [plane.down, (event.clientY - box.top - top) / (plane.canvas.height * scale), plane.flip[1]]].forEach(([axis, part, flip]) => {
    const at = Math.floor((flip ? 1 - part : part) * data.size[axis]);
    place[axis] = Math.min(data.size[axis] - 1, Math.max(0, at));
  });
  draw();
}

function shades() {
  // Contrast -100 … 100 is a slope of 1/4 … 4 about the middle grey.
  const slope = Math.pow(4, state.contrast / 100);
  return Uint8ClampedArray.from({ length: 256 }, (_, n) => (n - 128) * slope + 128 + state.brightness * 1.28);
}

function layer(plane, paint) {
  const across = data.size[plane.across], down = data.size[plane.down];
  const canvas = document.createElement("canvas");
  canvas.width = across;
  canvas.height = down;
  const context = canvas.getContext("2d"), pixels = context.createImageData(across, down);
  const start = place[plane.along] * STEP[plane.along];
  for (let v = 0, out = 0; v < down; v++) {
    const row = start + (plane.flip[1] ? down - 1 - v : v) * STEP[plane.down];
    for (let u = 0; u < across; u++, out += 4)
      paint(row + (plane.flip[0] ? across - 1 - u : u) * STEP[plane.across], pixels.data, out);
  }
  context.putImageData(pixels, 0, 0);
  return canvas;
}

function drawPlane(plane, grey) {
  const colours = data.channels;
  const below = layer(plane, (voxel, out, at) => {
    const first = voxel * colours;
    out[at] = grey[image[first]];
    out[at + 1] = grey[image[first + (colours > 1 ? 1 : 0)]];
    out[at + 2] = grey[image[first + (colours > 1 ? 2 : 0)]];
    out[at + 3] = 255;
  });
  const above = layer(plane, (voxel, out, at) => {
    const label = labels[voxel];
    if (!label || state.hidden.has(label)) return;
    const colour = data.palette[label - 1];
    out[at] = colour[0];
    out[at + 1] = colour[1];
    out[at + 2] = colour[2];
    out[at + 3] = 255;
  });
  const { canvas } = plane, context = canvas.getContext("2d");
  context.imageSmoothingEnabled = state.smooth;
  context.globalAlpha = 1;
  context.drawImage(below, 0, 0, canvas.width, canvas.height);
  context.imageSmoothingEnabled = false;
  context.globalAlpha = state.opacity;
  context.drawImage(above, 0, 0, canvas.width, canvas.height);
  context.globalAlpha = 1;
  if (PLANES.length > 1) cross(plane, context);
  plane.slider.value = place[plane.along];
  plane.text.textContent = data.size[plane.along] > 1 ? `${place[plane.along] + 1} / ${data.size[plane.along]}` : "";
}

function cross(plane, context) {
  const { canvas } = plane;
  const at = (axis, flip, length) => ((flip ? data.size[axis] - 1 - place[axis] : place[axis]) + 0.5) * length / data.size[axis];
  const x = at(plane.across, plane.flip[0], canvas.width), y = at(plane.down, plane.flip[1], canvas.height);
  context.strokeStyle = "rgba(255, 212, 121, .55)";
  context.lineWidth = 1.5;
  context.beginPath();
  context.moveTo(x, 0); context.lineTo(x, canvas.height);
  context.moveTo(0, y); context.lineTo(canvas.width, y);
  context.stroke();
}

let waiting = false;
function draw() {
  if (waiting) return;
  waiting = true;
  requestAnimationFrame(() => {
    waiting = false;
    const grey = shades();
    PLANES.forEach((plane) => drawPlane(plane, grey));
  });
}

function legend() {
  for (const entry of data.legend) {
    const item = document.createElement("li"), label = document.createElement("label");
    const box = document.createElement("input"), swatch = document.createElement("span");
    box.type = "checkbox";
    box.checked = true;
    box.addEventListener("change", () => {
      entry.labels.forEach((n) => (box.checked ? state.hidden.delete(n) : state.hidden.add(n)));
      draw();
    });
    swatch.className = "swatch";
    const stops = entry.labels.map((n) => `rgb(${data.palette[n - 1].join(",")})`);
    swatch.style.background = stops.length > 1 ? `linear-gradient(90deg, ${stops.join(",")})` : stops[0];
    label.append(box, swatch, document.createTextNode(entry.text));
    item.append(label);
    input("legend").append(item);
  }
}

function controls() {
  const opacity = input("opacity");
  const show = () => { input("opacity-value").textContent = opacity.value + " %"; };
  opacity.addEventListener("input", () => { state.opacity = opacity.value / 100; show(); draw(); });
  show();
  for (const name of ["brightness", "contrast"])
    input(name).addEventListener("input", () => { state[name] = +input(name).value; draw(); });
  input("smooth").addEventListener("change", () => { state.smooth = input("smooth").checked; draw(); });
}

async function start() {
  input("note").textContent = "loading …";
  [image, labels] = await Promise.all([unpack(data.image), unpack(data.labels)]);
  place = middle();
  if (PLANES.length === 1) input("views").className = "one";
  PLANES.forEach(build);
  legend();
  controls();
  const size = data.size.slice(0, NZ > 1 ? 3 : 2).join(" × ");
  input("note").textContent = data.reduced ? `${size} ${data.image_only ? "pixels" : "voxels"}, ${data.reduced}` : `${size} ${data.image_only ? "pixels" : "voxels"}`;
  draw();
}

start();
