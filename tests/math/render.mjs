// Renders formulas with KaTeX and with MathJax, and reports what either of them refuses.
//   node render.mjs FOLDER < formulas.json     FOLDER holds node_modules; the formulas are [{tex, display}, …]
// prints [{index, engine, message}, …], one entry a refusal.
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { resolve } from "node:path";

const require = createRequire(resolve(process.argv[2], "package.json"));
const katex = require("katex");
const { mathjax } = require("mathjax-full/js/mathjax.js");
const { TeX } = require("mathjax-full/js/input/tex.js");
const { CHTML } = require("mathjax-full/js/output/chtml.js");
const { liteAdaptor } = require("mathjax-full/js/adaptors/liteAdaptor.js");
const { RegisterHTMLHandler } = require("mathjax-full/js/handlers/html.js");
require("mathjax-full/js/input/tex/base/BaseConfiguration.js");
require("mathjax-full/js/input/tex/ams/AmsConfiguration.js");

const refuse = (_, error) => { throw new Error(error.message); };
const adaptor = liteAdaptor();
RegisterHTMLHandler(adaptor);
const page = mathjax.document("", {
  InputJax: new TeX({ packages: ["base", "ams"], formatError: refuse }),
  OutputJax: new CHTML(),
});
page.outputJax.options.fontURL = "";
const withMathJax = ({ tex, display }) => {
  if (adaptor.outerHTML(page.convert(tex, { display })).includes("merror")) throw new Error("an error node");
};
const withKatex = ({ tex, display }) =>
  katex.renderToString(tex, { displayMode: display, throwOnError: true, strict: "error", trust: false });

const refusals = [];
JSON.parse(readFileSync(0, "utf8")).forEach((formula, index) => {
  for (const [engine, render] of [["KaTeX", withKatex], ["MathJax", withMathJax]]) {
    try {
      render(formula);
    } catch (error) {
      refusals.push({ index, engine, message: error.message });
    }
  }
});
console.log(JSON.stringify(refusals));
