// Colours, as color.py and merge.py have them: L 0..100, a and b unscaled, levels 0..255.
const CUBIC = -0.5, STEPS = 16384, SLACK = 1e-3, HALVINGS = 7, REACH = 2.3;
const WHITE = [0.95047, 1, 1.08883];
const BACK = [
  [3.24048134, -1.53715152, -0.49853633],
  [-0.96925495, 1.87599, 0.04155593],
  [0.05564664, -0.20404134, 1.05731107],
].map((row) => row.map((value, k) => value * WHITE[k]));
const FORTH = [
  [0.412453, 0.35758, 0.180423],
  [0.212671, 0.71516, 0.072169],
  [0.019334, 0.119193, 0.950227],
].map((row, k) => row.map((value) => value / WHITE[k]));

const toLight = (v) => (v > 0.04045 ? ((v + 0.055) / 1.055) ** 2.4 : v / 12.92);
const toLevel = (v) => (v > 0.0031308 ? 1.055 * v ** (1 / 2.4) - 0.055 : 12.92 * v);
const LIGHT = Float32Array.from({ length: 256 }, (_, n) => toLight(n / 255));
const LEVEL = Uint8ClampedArray.from({ length: STEPS + 1 }, (_, n) =>
  Math.round(255 * toLevel(n / STEPS)));
const LIGHTNESS = LIGHT.map((y) =>
  116 * (y > 0.008856 ? Math.cbrt(y) : 7.787 * y + 16 / 116) - 16);

const uncurve = (t) => (t > 0.2068966 ? t * t * t : (t - 16 / 116) / 7.787);

function labToLight(l, a, b, out) {
  const y = (l + 16) / 116;
  const X = uncurve(y + a / 500), Y = uncurve(y), Z = uncurve(Math.max(y - b / 200, 0));
  for (let k = 0; k < 3; k++) out[k] = BACK[k][0] * X + BACK[k][1] * Y + BACK[k][2] * Z;
}

const fits = (light) =>
  Math.min(light[0], light[1], light[2]) >= -SLACK &&
  Math.max(light[0], light[1], light[2]) <= 1 + SLACK;

// The levels that are displayed for a Lab colour: less chroma, at the same L and hue, where it
// lies outside the gamut.
function displayed(l, a, b, out) {
  labToLight(l, a, b, out);
  if (!fits(out)) {
    let low = 0, high = 1;
    for (let k = 0; k < HALVINGS; k++) {
      const middle = (low + high) / 2;
      labToLight(l, a * middle, b * middle, out);
      if (fits(out)) low = middle; else high = middle;
    }
    labToLight(l, a * low, b * low, out);
  }
  for (let k = 0; k < 3; k++)
    out[k] = LEVEL[Math.floor(Math.min(1, Math.max(0, out[k])) * STEPS + 0.5)];
  return out;
}

function rgbToLab(rgb) {
  const light = rgb.map((v) => LIGHT[v]);
  const f = FORTH.map((row) => {
    const t = row[0] * light[0] + row[1] * light[1] + row[2] * light[2];
    return t > 0.008856 ? Math.cbrt(t) : 7.787 * t + 16 / 116;
  });
  return [116 * f[1] - 16, 500 * (f[0] - f[1]), 200 * (f[1] - f[2])];
}

const inGamut = (l, a, b) => { const light = [0, 0, 0]; labToLight(l, a, b, light); return fits(light); };
const hex = (rgb) => "#" + rgb.map((v) => v.toString(16).padStart(2, "0")).join("");

function parseColour(text) {
  const six = /^#?([0-9a-f]{6})$/i.exec(text.trim());
  if (six) return [0, 2, 4].map((k) => parseInt(six[1].slice(k, k + 2), 16));
  const parts = text.trim().split(/[\s,;]+/).map(Number);
  const valid = parts.length === 3 && parts.every((v) => Number.isInteger(v) && v >= 0 && v <= 255);
  return valid ? parts : null;
}

// For each of `target` places four of `source` ones and their weights; pixels from their centres.
function taps(source, target) {
  const index = new Int32Array(4 * target), weight = new Float32Array(4 * target);
  for (let n = 0; n < target; n++) {
    const at = (n + 0.5) * source / target - 0.5, first = Math.floor(at);
    for (let k = 0; k < 4; k++) {
      const d = Math.abs(at - first - (k - 1));
      index[4 * n + k] = Math.min(source - 1, Math.max(0, first + k - 1));
      weight[4 * n + k] = d <= 1 ? (CUBIC + 2) * d ** 3 - (CUBIC + 3) * d ** 2 + 1
        : d < 2 ? CUBIC * (d ** 3 - 5 * d ** 2 + 8 * d - 4) : 0;
    }
  }
  return { index, weight };
}

// Lightness (width x height) and chroma (size x size x 2) as pixels of an ImageData.
function merge(lightness, width, height, chroma, size, strength, pixels) {
  const across = taps(size, width), down = taps(size, height);
  const wide = new Float32Array(size * width * 2);
  for (let row = 0; row < size; row++)
    for (let x = 0; x < width; x++)
      for (let k = 0; k < 4; k++) {
        const from = 2 * (row * size + across.index[4 * x + k]), w = across.weight[4 * x + k];
        wide[2 * (row * width + x)] += w * chroma[from];
        wide[2 * (row * width + x) + 1] += w * chroma[from + 1];
      }
  const colour = [0, 0, 0];
  for (let y = 0; y < height; y++) {
    const rows = [0, 1, 2, 3].map((k) => 2 * width * down.index[4 * y + k]);
    const [w0, w1, w2, w3] = down.weight.subarray(4 * y, 4 * y + 4);
    for (let x = 0; x < width; x++) {
      const c = 2 * x;
      const a = w0 * wide[rows[0] + c] + w1 * wide[rows[1] + c]
        + w2 * wide[rows[2] + c] + w3 * wide[rows[3] + c];
      const b = w0 * wide[rows[0] + c + 1] + w1 * wide[rows[1] + c + 1]
        + w2 * wide[rows[2] + c + 1] + w3 * wide[rows[3] + c + 1];
      const at = y * width + x;
      displayed(lightness[at], strength * a, strength * b, colour);
      pixels[4 * at] = colour[0];
      pixels[4 * at + 1] = colour[1];
      pixels[4 * at + 2] = colour[2];
      pixels[4 * at + 3] = 255;
    }
  }
}
