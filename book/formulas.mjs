// Renders formulas with KaTeX: node formulas.mjs FOLDER, which holds node_modules. A line of JSON in, {tex, display};
// a line of JSON out, {html} or {error}.
import { createRequire } from "node:module";
import { resolve } from "node:path";
import { createInterface } from "node:readline";

const katex = createRequire(resolve(process.argv[2], "package.json"))("katex");
for await (const line of createInterface({ input: process.stdin })) {
  const { tex, display } = JSON.parse(line);
  let answer;
  try {
    answer = { html: katex.renderToString(tex, { displayMode: display, throwOnError: true, trust: false }) };
  } catch (error) {
    answer = { error: error.message };
  }
  console.log(JSON.stringify(answer));
}
