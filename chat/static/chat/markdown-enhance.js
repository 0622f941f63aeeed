// What finished blocks get besides their text: coloured code, set formulas, Copy and Wrap buttons. Everything is
// lazy: a library comes when a block that needs it is near the view. Must not touch a block still being written,
// and must leave the text of what it touches as it is. What the libraries make is taken as nodes: no string becomes HTML.

const LANGUAGES = new Set(
  ("bash cpp csharp css diff dockerfile go ini java javascript json kotlin markdown php powershell python ruby" +
    " rust sql typescript xml yaml").split(" "),
);
const ALIASES = {
  c: "cpp", "c++": "cpp", cc: "cpp", h: "cpp", hpp: "cpp", console: "bash", cs: "csharp", "c#": "csharp",
  docker: "dockerfile", golang: "go", html: "xml", js: "javascript", jsonc: "json", jsx: "javascript", kt: "kotlin",
  md: "markdown", mjs: "javascript", mysql: "sql", patch: "diff", plsql: "sql", postgresql: "sql", ps1: "powershell",
  psql: "sql", pwsh: "powershell", py: "python", rb: "ruby", rs: "rust", sh: "bash", shell: "bash", svg: "xml",
  toml: "ini", ts: "typescript", tsx: "typescript", vue: "xml", yml: "yaml", zsh: "bash",
};
const MAX_CODE = 50_000; // characters; colouring more blocks the page for too long
const MAX_FORMULA = 5_000;
const COPIED_FOR = 2_000; // ms
const MATHML = "http://www.w3.org/1998/Math/MathML";
const MATH_ELEMENTS = new Set(
  ("math semantics menclose mfrac mi mn mo mover mpadded mphantom mroot mrow ms mspace msqrt mstyle msub msubsup msup" +
    " mtable mtd mtext mtr mlabeledtr munder munderover").split(" "),
);
const MATH_ATTRIBUTES = new Set(
  ("xmlns accent accentunder columnalign columnlines columnspacing depth display displaystyle fence height largeop" +
    " linethickness lspace mathbackground mathcolor mathsize mathvariant maxsize minsize movablelimits notation" +
    " rowalign rowlines rowspacing rspace scriptlevel separator stretchy symmetric voffset width").split(" "),
);
const WORDS = { copy: "Copy", copied: "Copied", wrap: "Wrap lines" };

let highlighter = null;

const nearView = new IntersectionObserver(
  (entries) => {
    for (const { isIntersecting, target } of entries) {
      if (!isIntersecting) continue;
      nearView.unobserve(target);
      if (target.matches(".math")) setFormula(target);
      else colour(target);
    }
  },
  { rootMargin: "400px" },
);

/**
 * Enhance the finished blocks inside `element`; those done before are left alone.
 * @param {Element} element
 * @param {{strings?: {copy?: string, copied?: string, wrap?: string}, announce?: (text: string) => void}} options
 *   announce: called with the word for "Copied", for a live region
 */
export function enhanceBlocks(element, { strings = {}, announce = () => {} } = {}) {
  const words = { ...WORDS, ...strings };
  for (const block of element.querySelectorAll("div.code, span.math")) {
    if (isEnhanced(block) || block.closest("[data-open]")) continue;
    if (block.matches(".code")) addButtons(block, words, announce);
    nearView.observe(block);
  }
}

/** Read off the block itself: one that was drawn anew, for a link that was defined later, has lost it. */
function isEnhanced(block) {
  return block.matches(".code") ? block.querySelector(".copy") !== null : "tex" in block.dataset;
}

function addButtons(block, words, announce) {
  const code = block.querySelector("pre > code");
  const wrap = button("wrap", words.wrap);
  wrap.setAttribute("aria-pressed", "false");
  wrap.addEventListener("click", () => {
    wrap.setAttribute("aria-pressed", String(block.classList.toggle("is-wrapped")));
  });
  const copy = button("copy", words.copy);
  copy.addEventListener("click", async () => {
    await copyText(code.textContent.replace(/\n$/, ""));
    copy.textContent = words.copied;
    announce(words.copied);
    setTimeout(() => (copy.textContent = words.copy), COPIED_FOR);
  });
  block.querySelector(".code-head").append(wrap, copy);
}

function button(name, text) {
  const made = document.createElement("button");
  made.type = "button";
  made.className = name;
  made.textContent = text;
  return made;
}

async function copyText(text) {
  if (navigator.clipboard) return navigator.clipboard.writeText(text);
  // Without HTTPS there is no clipboard interface.
  const focused = document.activeElement;
  const field = document.createElement("textarea");
  field.value = text;
  field.className = "visually-hidden";
  document.body.append(field);
  field.select();
  document.execCommand("copy");
  field.remove();
  focused?.focus({ preventScroll: true });
}

async function colour(block) {
  const code = block.querySelector("pre > code");
  const text = code.textContent;
  const named = block.dataset.language;
  const language = ALIASES[named] ?? named;
  if (!LANGUAGES.has(language) || text.length > MAX_CODE) return;
  const [core, grammar] = await Promise.all([import("highlight.js/core"), import(`highlight.js/${language}`)]);
  highlighter ??= core.default.newInstance();
  if (!highlighter.getLanguage(language)) highlighter.registerLanguage(language, grammar.default);
  const fragment = coloured(highlighter.highlight(text, { language, ignoreIllegals: true }));
  const selection = getSelection();
  const isSelected = selection && !selection.isCollapsed && selection.containsNode(code, true);
  if (fragment.textContent === text && code.textContent === text && !isSelected) code.replaceChildren(fragment);
}

/** What highlight.js found, as spans with its classes (docs: "class names in themes"). @returns {DocumentFragment} */
function coloured(result) {
  const open = [new DocumentFragment()];
  result._emitter.walk({
    addText: (text) => open.at(-1).append(text),
    openNode(node) {
      const child = node.scope ? document.createElement("span") : new DocumentFragment();
      if (node.scope) child.className = classOf(node.scope);
      open.push(child);
    },
    closeNode() {
      const child = open.pop();
      open.at(-1).append(child);
    },
  });
  return open[0];
}

/** "title.function" is "hljs-title function_", a language inside another "language-css". */
function classOf(scope) {
  if (scope.startsWith("language:")) return scope.replace("language:", "language-");
  const [first, ...more] = scope.split(".");
  return [`hljs-${first}`, ...more.map((name, i) => name + "_".repeat(i + 1))].join(" ");
}

async function setFormula(span) {
  const tex = span.textContent;
  if (tex.length > MAX_FORMULA) return;
  await import("katex");
  const { katex } = globalThis;
  const settings = {
    output: "mathml", displayMode: span.hasAttribute("data-display"), throwOnError: true, trust: false,
    strict: "ignore", maxSize: 20, maxExpand: 500,
  };
  const made = document.createElement("span");
  try {
    katex.render(tex, made, settings);
  } catch (error) {
    if (error instanceof katex.ParseError) return; // the TeX itself stays readable
    throw error;
  }
  const math = made.querySelector("math");
  if (!math) return;
  onlyMath(math);
  span.dataset.tex = tex;
  span.replaceChildren(math);
}

/** Takes away whatever is not allow-listed, the copy of the TeX with it; no links, no styles. */
function onlyMath(element) {
  for (const { name } of [...element.attributes]) if (!MATH_ATTRIBUTES.has(name)) element.removeAttribute(name);
  for (const child of [...element.children]) {
    if (child.namespaceURI === MATHML && MATH_ELEMENTS.has(child.localName)) onlyMath(child);
    else child.remove();
  }
}
