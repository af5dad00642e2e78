// What the drawing pads compute in a page: the drawing, centred as MNIST's digits are, goes through trained networks.

// Half precision (IEEE 754 binary16) to numbers.
function numbersOf(base64) {
  const bytes = Uint8Array.from(atob(base64), (letter) => letter.charCodeAt(0));
  const halves = new DataView(bytes.buffer);
  return Float32Array.from({ length: bytes.length / 2 }, (_, i) => {
    const half = halves.getUint16(2 * i, true);
    const exponent = (half >> 10) & 31;
    const fraction = half & 1023;
    const size = exponent ? 2 ** (exponent - 25) * (1024 + fraction) : 2 ** -24 * fraction;
    return half & 32768 ? -size : size;
  });
}

const ACTIVATIONS = { silu: (a) => a / (1 + Math.exp(-a)), relu: (a) => Math.max(a, 0), none: (a) => a };
const sigmoid = (a) => 1 / (1 + Math.exp(-a));

// A multilayer perceptron as a function of numbers: aetutor.widgets.frozen.network packs it.
function mlp({ sizes, activation, weights }) {
  const numbers = numbersOf(weights);
  return (x) => {
    let begin = 0;
    for (let layer = 1; layer < sizes.length; layer++) {
      const [inputs, outputs] = [sizes[layer - 1], sizes[layer]];
      const biases = begin + inputs * outputs;
      const y = numbers.slice(biases, biases + outputs);
      for (let i = 0; i < inputs; i++) {
        if (x[i] === 0) continue; // most pixels are black
        const row = begin + i * outputs;
        for (let j = 0; j < outputs; j++) y[j] += x[i] * numbers[row + j];
      }
      x = layer < sizes.length - 1 ? y.map(ACTIVATIONS[activation]) : y;
      begin = biases + outputs;
    }
    return x;
  };
}

// A model's mean of p(x|z) from z, and its code of x (of a VAE the mean of q(z|x)): aetutor.widgets.frozen.model.
function modelOf({ encoder, decoder, latent, output }) {
  const [encode, decode] = [mlp(encoder), mlp(decoder)];
  const mean = output === "sigmoid" ? (z) => decode(z).map(sigmoid) : decode;
  return { encode, decode, mean, copy: (x) => mean(encode(x).slice(0, latent)), latent };
}

// One row of weights for a pixel of the small image each: torch's antialiased bilinear interpolation along one axis.
function shrinking(from, to) {
  const scale = from / to;
  const width = Math.max(scale, 1);
  return Array.from({ length: to }, (_, i) => {
    const centre = scale * (i + 0.5);
    const first = Math.max(0, Math.trunc(centre - width + 0.5));
    const last = Math.min(from, Math.trunc(centre + width + 0.5));
    const row = Array.from({ length: last - first }, (_, j) => Math.max(0, 1 - Math.abs((first + j + 0.5 - centre) / width)));
    const sum = row.reduce((a, b) => a + b, 0);
    return { first, row: row.map((weight) => weight / sum) };
  });
}

function rounded(a) { // halves to the even number, as Python rounds
  const below = Math.floor(a);
  return a - below === 0.5 ? below + (below % 2) : Math.round(a);
}

// aetutor.drawing.as_mnist: a square of bytes -> 784 numbers in [0, 1]; without ink all are 0.
function asMnist(drawing) {
  const image = new Float32Array(784);
  const side = drawing ? Math.sqrt(drawing.byteLength) : 0;
  const ink = (row, column) => drawing.getUint8(row * side + column) / 255;
  let [top, left, bottom, right] = [side, side, 0, 0];
  for (let row = 0; row < side; row++) {
    for (let column = 0; column < side; column++) {
      if (ink(row, column) === 0) continue;
      [top, bottom] = [Math.min(top, row), Math.max(bottom, row + 1)];
      [left, right] = [Math.min(left, column), Math.max(right, column + 1)];
    }
  }
  if (bottom === 0) return image;
  const longer = Math.max(bottom - top, right - left);
  const [height, width] = [bottom - top, right - left].map((length) => Math.max(1, rounded((20 * length) / longer)));
  const [down, across] = [shrinking(bottom - top, height), shrinking(right - left, width)];
  const small = down.map(({ first, row }) =>
    across.map(({ first: start, row: along }) => {
      let sum = 0;
      row.forEach((a, i) => along.forEach((b, j) => (sum += a * b * ink(top + first + i, left + start + j))));
      return Math.min(Math.max(sum, 0), 1);
    }),
  );
  const total = small.flat().reduce((a, b) => a + b, 0);
  const mass = [0, 0];
  small.forEach((row, i) => row.forEach((value, j) => ((mass[0] += value * (i + 0.5)), (mass[1] += value * (j + 0.5)))));
  const corner = [height, width].map((length, axis) =>
    Math.min(Math.max(rounded(14.5 - mass[axis] / total), 0), 28 - length),
  );
  small.forEach((row, i) => row.forEach((value, j) => (image[(corner[0] + i) * 28 + corner[1] + j] = value)));
  return image;
}

// Numbers in [0, 1], 28 x 28 or, in colours, any square -> a PNG's address.
const canvas = document.createElement("canvas");
function picture(pixels) {
  canvas.width = canvas.height = 28;
  const pen = canvas.getContext("2d", { willReadFrequently: true });
  const image = pen.createImageData(28, 28);
  pixels.forEach((value, i) => {
    image.data.fill(Math.round(255 * Math.min(Math.max(value, 0), 1)), 4 * i, 4 * i + 3);
    image.data[4 * i + 3] = 255;
  });
  pen.putImageData(image, 0, 0);
  return canvas.toDataURL();
}

// A cross at (right, down), shares of a square's sides, to be laid over it.
function cross(right, down, side = 224) {
  canvas.width = canvas.height = side;
  const pen = canvas.getContext("2d");
  const place = (share) => Math.round(Math.min(Math.max(share, 0), 1) * (side - 1));
  pen.fillRect(place(right), 0, 1, side);
  pen.fillRect(0, place(down), side, 1);
  return canvas.toDataURL();
}

// Numbers that depend on the seed and their order alone.
function random(seed) {
  let state = seed + 1;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4294967296;
  };
}

const normal = (draw) => Math.sqrt(-2 * Math.log(1 - draw())) * Math.cos(2 * Math.PI * draw());
const CORRUPTIONS = {
  masking: (x, level, draw) => x.map((value) => (draw() >= level ? value : 0)),
  Gaussian: (x, level, draw) => x.map((value) => value + level * normal(draw)),
  "salt and pepper": (x, level, draw) =>
    x.map((value) => {
      const u = draw();
      return u < level ? Number(u >= level / 2) : value;
    }),
};

function decibels(x, other) {
  const error = x.reduce((sum, value, i) => sum + (value - other[i]) ** 2, 0) / x.length;
  return error ? `${(-10 * Math.log10(error)).toFixed(1)} dB` : "no error";
}

const oneHot = (label, classes) => Array.from({ length: classes }, (_, i) => Number(i === label));
const binary = (x) => x.map((value) => Number(value > 0.5));
const softplus = (a) => Math.max(a, 0) + Math.log1p(Math.exp(-Math.abs(a)));
const logBernoulli = (x, logits) => logits.reduce((sum, logit, i) => sum + x[i] * logit - softplus(logit), 0);

// Each pad: its data -> a function of (drawing, places of the other controls) to what it shows.
const pads = {
  DrawPad({ networks, panels, values, draw, readout }) {
    const trained = Object.values(networks).map((byKind) =>
      Object.fromEntries(Object.entries(byKind).map(([kind, model]) => [kind, modelOf(model)])),
    );
    return ([drawing, kindAt, levelAt, seed]) => {
      const x = asMnist(drawing);
      if (!x.some(Boolean)) return { panels: panels.map(() => [picture(x), NOTHING, ""]), readout: draw };
      const kind = values.kind[kindAt];
      const noisy = CORRUPTIONS[kind](x, values.level[levelAt], random(seed));
      const restored = trained.map((byKind) => byKind[kind].copy(noisy));
      const shown = [x, noisy, ...restored];
      return {
        panels: shown.map((y, i) => [picture(y), NOTHING, i ? decibels(x, y) : "your drawing"]),
        readout,
      };
    };
  },

  PosteriorPad({ model, map, reach, codes, labels, draw, readout }) {
    const { encode, mean } = modelOf(model);
    const plane = `data:image/png;base64,${map}`;
    return ([drawing]) => {
      const x = binary(asMnist(drawing));
      if (!x.some(Boolean)) {
        return { panels: [[picture(x), NOTHING, ""], [picture(x), NOTHING, ""], [plane, NOTHING, ""]], readout: draw };
      }
      const [z1, z2] = encode(x);
      const distances = codes.map(([a, b]) => Math.hypot(a - z1, b - z2));
      const nearest = distances.indexOf(Math.min(...distances));
      const words = `nearest: a ${labels[nearest]}, ${distances[nearest].toFixed(2)} away`;
      return {
        panels: [
          [picture(x), NOTHING, "centred"],
          [picture(mean([z1, z2])), NOTHING, "the mean"],
          [plane, cross((1 + z1 / reach) / 2, (1 - z2 / reach) / 2), words],
        ],
        readout,
      };
    };
  },

  StylePad({ model, classes, panels, values, draw, readout }) {
    const { encode, decode, latent } = modelOf(model);
    const each = Array.from({ length: classes }, (_, label) => label);
    return ([drawing, labelAt]) => {
      const x = binary(asMnist(drawing));
      if (!x.some(Boolean)) return { panels: panels.map(() => [picture(x), NOTHING, ""]), readout: draw };
      // q(z|x, y) for each label y, and the ELBO at its mean
      const q = each.map((label) => encode([...x, ...oneHot(label, classes)]));
      const elbos = q.map((numbers, label) => {
        const mu = numbers.slice(0, latent);
        const kl = mu.reduce((sum, m, i) => {
          const logVar = numbers[latent + i];
          return sum + (m * m + Math.exp(logVar) - 1 - logVar) / 2;
        }, 0);
        return logBernoulli(x, decode([...mu, ...oneHot(label, classes)])) - kl;
      });
      const asked = values.label[labelAt];
      const label = asked === "guess" ? elbos.indexOf(Math.max(...elbos)) : asked;
      const z = q[label].slice(0, latent);
      const drawn = each.map((other) => decode([...z, ...oneHot(other, classes)]));
      return {
        panels: [
          [picture(x), NOTHING, `taken for a ${label}`],
          ...drawn.map((logits) => [picture(logits.map(sigmoid)), NOTHING, logBernoulli(x, logits).toFixed(1)]),
        ],
        readout,
      };
    };
  },
};
