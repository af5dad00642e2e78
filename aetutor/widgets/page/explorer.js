// Explorers in a page without a kernel. Each is a section with its controls, its panels and its data, as
// aetutor/widgets/frozen.py wrote them. What it shows is {panels: [[picture, picture over it, caption], …], readout}.
const NOTHING = "data:image/gif;base64,R0lGODlhAQABAAAAACH5BAEKAAEALAAAAAABAAEAAAICTAEAOw==";

// A control's place among its values, or the drawing; `moved` is called at each change.
function control(element, moved) {
  const range = element.querySelector("input[type=range]");
  const radios = [...element.querySelectorAll("input[type=radio]")];
  const button = element.querySelector("button");
  element.addEventListener("input", moved);
  if (range) {
    const words = JSON.parse(element.dataset.words);
    return () => {
      const word = words[range.value];
      element.querySelector("output").textContent = word;
      range.setAttribute("aria-valuetext", word);
      return Number(range.value);
    };
  }
  if (radios.length) return () => radios.findIndex((radio) => radio.checked);
  if (button) {
    let clicks = 0;
    button.addEventListener("click", () => moved((clicks += 1)));
    return () => clicks;
  }
  const model = { drawing: null, get: () => model.drawing, set: (_, drawing) => (model.drawing = drawing), on() {} };
  model.save_changes = moved;
  render({ model, el: element });
  return () => model.drawing;
}

// What a frozen explorer shows at the places of its controls.
function frozen({ pictures, texts, states, values }) {
  const png = (place) => (place < 0 ? NOTHING : `data:image/png;base64,${pictures[place]}`);
  const counts = Object.values(values).map((given) => given.length);
  return (places) => {
    const state = places.reduce((before, place, i) => before * counts[i] + (place % counts[i]), 0);
    const [panels, readout] = states[state];
    return { panels: panels.map(([base, over, text]) => [png(base), png(over), texts[text]]), readout: texts[readout] };
  };
}

function start(section) {
  const data = JSON.parse(section.querySelector("script").textContent);
  const at = data.pad ? pads[data.pad](data) : frozen(data);
  const panels = [...section.querySelectorAll("figure")];
  const show = () => {
    const { panels: shown, readout } = at(controls.map((place) => place()));
    panels.forEach((panel, i) => {
      const [picture, over] = panel.querySelectorAll("img");
      [picture.src, over.src, panel.querySelector("output").textContent] = shown[i];
    });
    section.querySelector(".readout").textContent = readout;
  };
  const controls = [...section.querySelectorAll("[data-control]")].map((element) => control(element, show));
  show();
}

document.querySelectorAll(".aetutor-explorer").forEach(start);
