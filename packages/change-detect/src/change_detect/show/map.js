"use strict";
{
  const at = (id) => document.getElementById(id);
  const map = at("map"), ground = at("ground"), before = at("before"), shapes = at("shapes");
  const { corners, size } = JSON.parse(map.dataset.facts);
  const view = { x: 0, y: 0, zoom: 1 };
  const style = (element, values) => Object.assign(element.style, values);
  style(map, { position: "relative", overflow: "hidden", width: "100%", touchAction: "none",
    aspectRatio: `${size[0]} / ${size[1]}`, maxHeight: "75vh", background: "#777", cursor: "grab" });
  style(ground, { position: "absolute", left: "0", top: "0", transformOrigin: "0 0" });
  for (const layer of [at("after"), before, shapes])
    style(layer, { position: "absolute", left: "0", top: "0", width: "100%", height: "100%",
      maxWidth: "none", margin: "0" });
  style(at("list"), { cursor: "pointer" });

  const fitting = () => Math.min(map.clientWidth / size[0], map.clientHeight / size[1]);
  const home = () => {
    const fit = fitting();
    Object.assign(view, { zoom: 1, x: (map.clientWidth - size[0] * fit) / 2,
      y: (map.clientHeight - size[1] * fit) / 2 });
    draw();
  };
  const draw = () => {
    const fit = fitting();
    shapes.style.strokeWidth = `${2 / view.zoom}px`;
    style(ground, { width: `${size[0] * fit}px`, height: `${size[1] * fit}px`,
      transform: `translate(${view.x}px, ${view.y}px) scale(${view.zoom})`,
      imageRendering: view.zoom * fit > 4 ? "pixelated" : "auto" });
    // The border between the dates stands still in the window, whatever is under it.
    const share = at("swipe").value / 100 * map.clientWidth;
    const cut = (share - view.x) / (view.zoom * size[0] * fit) * 100;
    before.style.clipPath = `inset(0 ${Math.min(100, Math.max(0, 100 - cut))}% 0 0)`;
  };
  const zoom = (factor, x = map.clientWidth / 2, y = map.clientHeight / 2) => {
    const next = Math.min(64, Math.max(1, view.zoom * factor));
    view.x = x - (x - view.x) * next / view.zoom;
    view.y = y - (y - view.y) * next / view.zoom;
    view.zoom = next;
    draw();
  };
  const place = (event) => {
    const box = ground.getBoundingClientRect();
    return [(event.clientX - box.left) / box.width, (event.clientY - box.top) / box.height];
  };
  const mark = (id) => {
    for (const path of shapes.children) {
      path.setAttribute("stroke", path.dataset.id === id ? "#ffe100" : "#e65000");
    }
    for (const row of at("list").tBodies[0].rows) {
      const chosen = row.dataset.id === id;
      row.style.background = chosen ? "#ffe10055" : "";
      if (chosen) row.scrollIntoView({ block: "nearest" });
    }
  };
  const show = (id) => {
    const path = [...shapes.children].find((one) => one.dataset.id === id);
    const box = path.getBBox(), fit = fitting();
    view.zoom = Math.min(64, Math.max(1, Math.min(map.clientWidth / (box.width * fit * 4),
      map.clientHeight / (box.height * fit * 4))));
    view.x = map.clientWidth / 2 - (box.x + box.width / 2) * fit * view.zoom;
    view.y = map.clientHeight / 2 - (box.y + box.height / 2) * fit * view.zoom;
    mark(id);
    draw();
    map.scrollIntoView({ block: "nearest" });
  };

  at("swipe").addEventListener("input", draw);
  at("outlines").addEventListener("change", (event) => {
    shapes.style.display = event.target.checked ? "" : "none";
  });
  at("nearer").addEventListener("click", () => zoom(2));
  at("farther").addEventListener("click", () => zoom(0.5));
  at("all").addEventListener("click", home);
  map.addEventListener("wheel", (event) => {
    event.preventDefault();
    const box = map.getBoundingClientRect();
    zoom(event.deltaY < 0 ? 1.25 : 0.8, event.clientX - box.left, event.clientY - box.top);
  }, { passive: false });
  let held = null;
  map.addEventListener("pointerdown", (event) => {
    held = [event.clientX - view.x, event.clientY - view.y];
    if (event.target.dataset.id) mark(event.target.dataset.id);
  });
  window.addEventListener("pointerup", () => { held = null; });
  window.addEventListener("pointermove", (event) => {
    if (!held) return;
    [view.x, view.y] = [event.clientX - held[0], event.clientY - held[1]];
    draw();
  });
  map.addEventListener("pointermove", (event) => {
    const [u, v] = place(event);
    if (u < 0 || u > 1 || v < 0 || v > 1) { at("where").textContent = ""; return; }
    const pixel = `column ${Math.floor(u * size[0])}, row ${Math.floor(v * size[1])}`;
    if (!corners) { at("where").textContent = pixel; return; }
    const [a, b, c, d] = corners;
    const between = (n) => (a[n] * (1 - u) + b[n] * u) * (1 - v) + (d[n] * (1 - u) + c[n] * u) * v;
    at("where").textContent =
      `longitude ${between(0).toFixed(5)}, latitude ${between(1).toFixed(5)} (${pixel})`;
  });
  at("list").addEventListener("click", (event) => {
    const row = event.target.closest("tr[data-id]");
    if (row) show(row.dataset.id);
  });
  at("list").addEventListener("keydown", (event) => {
    if (event.key === "Enter" && event.target.dataset.id) show(event.target.dataset.id);
  });
  map.addEventListener("keydown", (event) => {
    const steps = { ArrowLeft: [60, 0], ArrowRight: [-60, 0], ArrowUp: [0, 60], ArrowDown: [0, -60] };
    if (event.key === "+" || event.key === "-") zoom(event.key === "+" ? 1.5 : 1 / 1.5);
    else if (steps[event.key]) {
      view.x += steps[event.key][0];
      view.y += steps[event.key][1];
      draw();
      event.preventDefault();
    }
  });
  window.addEventListener("resize", home);
  home();
}
