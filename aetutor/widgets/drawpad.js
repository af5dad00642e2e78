// The drawing area of aetutor.widgets.DrawPad: white ink on black. After each move of the pen the picture's grey values
// go to the model's "value", 112 x 112 bytes, row by row.
const SIDE = 224; // screen pixels
const SENT = 112; // pixels on each side of what is sent

function render({ model, el }) {
  const canvas = document.createElement("canvas");
  canvas.width = canvas.height = SIDE;
  canvas.className = "aetutor-drawpad";
  canvas.setAttribute("role", "img");
  canvas.setAttribute("aria-label", "Drawing area: draw a digit with the mouse or a finger");
  canvas.style.touchAction = "none"; // a finger draws and does not scroll
  canvas.style.cursor = "crosshair";
  const pen = canvas.getContext("2d");
  const small = document.createElement("canvas");
  small.width = small.height = SENT;
  const reader = small.getContext("2d", { willReadFrequently: true });

  function blank() {
    pen.fillStyle = "black";
    pen.fillRect(0, 0, SIDE, SIDE);
    Object.assign(pen, { strokeStyle: "white", lineWidth: SIDE / 12, lineCap: "round", lineJoin: "round" });
  }

  let waiting = false; // at most one message a frame
  let sent = null; // what this view sent last
  function send() {
    if (waiting) return;
    waiting = true;
    requestAnimationFrame(() => {
      waiting = false;
      reader.drawImage(canvas, 0, 0, SENT, SENT);
      const rgba = reader.getImageData(0, 0, SENT, SENT).data;
      sent = new DataView(Uint8Array.from({ length: SENT * SENT }, (_, i) => rgba[4 * i]).buffer);
      model.set("value", sent);
      model.save_changes();
    });
  }

  // what the model holds, from the kernel or from another view of the same drawing
  function recall() {
    const value = model.get("value");
    if (value === sent) return;
    blank();
    if (!value || value.byteLength !== SENT * SENT) return;
    const picture = reader.createImageData(SENT, SENT);
    for (let i = 0; i < SENT * SENT; i++) picture.data.fill(value.getUint8(i), 4 * i, 4 * i + 3).fill(255, 4 * i + 3, 4 * i + 4);
    reader.putImageData(picture, 0, 0);
    pen.drawImage(small, 0, 0, SIDE, SIDE);
  }

  function place(event) {
    const box = canvas.getBoundingClientRect();
    return [((event.clientX - box.left) * SIDE) / box.width, ((event.clientY - box.top) * SIDE) / box.height];
  }

  let last = null; // where the pen is while it is down
  canvas.addEventListener("pointerdown", (event) => {
    if (!event.isPrimary || event.button !== 0) return; // a second finger, another button
    canvas.setPointerCapture(event.pointerId);
    last = place(event);
    line(event); // a click leaves a dot
  });
  function line(event) {
    if (last === null || !event.isPrimary) return;
    const next = place(event);
    pen.beginPath();
    pen.moveTo(...last);
    pen.lineTo(...next);
    pen.stroke();
    last = next;
    send();
  }
  canvas.addEventListener("pointermove", line);
  for (const end of ["pointerup", "pointercancel"]) canvas.addEventListener(end, () => (last = null));

  const clear = document.createElement("button");
  clear.textContent = "clear";
  clear.className = "jupyter-button";
  clear.addEventListener("click", () => {
    blank();
    send();
  });

  blank();
  recall();
  model.on("change:value", recall);
  const box = document.createElement("div");
  Object.assign(box.style, { display: "flex", flexWrap: "wrap", alignItems: "flex-start", gap: "8px", margin: "2px" });
  box.append(canvas, clear);
  el.append(box);
}

export default { render };
