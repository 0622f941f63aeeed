// How a text is parsed, whole or still being written: which blocks a part has, where these begin, which are open.
// Must not produce HTML or touch the page.

import MarkdownIt from "markdown-it";

// What we add to markdown-it: mathematics, bounded brackets, which addresses are links. Must not produce HTML or touch
// the page. The twin of chat/markdown/rules.py; keep both word for word alike. For text still being written (env.open)
// an unfinished formula counts as closed at the end.


export const MAX_NESTING = 100;
// More opening brackets than this in one paragraph make link parsing quadratic.
const MAX_BRACKETS = 1000;
const MAX_INLINE_MATH = 4000; // characters; bounds the search for the closing mark
const MAX_BLOCK_MATH = 200; // lines

const CLOSING = { "$$": "$$", "\\[": "\\]", "\\(": "\\)" };
const LINK_IN_ANGLES = /<(?:https?:|mailto:|[^:<>\s]*@)/iy;
export const HTTP = /^https?:\/\/([a-z0-9._~-]+|\[[0-9a-f:.]+\])(:[0-9]{1,5})?(?=[/?#]|$)/i;
export const MAIL = /^mailto:([a-z0-9._%+-]+@[a-z0-9.-]+)/i;
// A web or mail address in running text; what ends it is listed, because \s differs between the twins.
const ADDRESS = new RegExp(
  "(?<![0-9A-Za-z])https?://[^\\x00-\\x20\\x7f-\\xa0<>\"`{}|\\\\^\\u1680\\u2000-\\u206f\\u3000-\\u303f\\ufe00-\\uff0f\\ufff0-\\uffff]{1,2000}" +
    "|(?<![0-9A-Za-z._%+-])[0-9A-Za-z][0-9A-Za-z._%+-]{0,63}@[0-9A-Za-z-]{1,63}(?:\\.[0-9A-Za-z-]{1,63}){1,8}",
  "gu",
);
// White space at the ends of a paragraph, as the other twin's parser strips it.
const SPACES = "[\\t-\\r\\x20\\xa0\\u1680\\u2000-\\u200a\\u2028\\u2029\\u202f\\u205f\\u3000]";
const EDGE_SPACE = new RegExp(`^${SPACES}+|(?<!${SPACES})${SPACES}+$`, "g");
// Letters written from the right next to Latin ones in one label: no valid host name.
const MIXED_DIRECTIONS = /[a-z0-9][^.]*[\u0590-\u08ff]|[\u0590-\u08ff][^.]*[a-z0-9]/;
const CONTROLS = /[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]/g;
const WORD = /^[0-9A-Za-z]/;

/** Without blanks, tabs and newlines at both ends: Python's strip(" \t\n"). */
export function strip(text) {
  let start = 0;
  let end = text.length;
  while (start < end && isSpace(text[start])) start += 1;
  while (end > start && isSpace(text[end - 1])) end -= 1;
  return text.slice(start, end);
}

function isSpace(character) {
  return character === " " || character === "\t" || character === "\n";
}

const plainParser = new MarkdownIt();

/** The one parser configuration of the product: no HTML, tables, strikethrough, links found in text. */
export function makeParser() {
  const parser = new MarkdownIt({ html: false, linkify: false, maxNesting: MAX_NESTING });
  // Which destinations become links is decided when HTML is made: a refused one keeps its words, not its markup.
  parser.validateLink = () => true;
  parser.block.ruler.before("fence", "math", mathBlock, { alt: ["paragraph", "reference", "blockquote", "list"] });
  parser.inline.ruler.before("escape", "math", mathInline);
  const autolink = ruleOf(parser.inline.ruler, "autolink");
  parser.inline.ruler.at("autolink", (state, silent) => {
    LINK_IN_ANGLES.lastIndex = state.pos;
    return LINK_IN_ANGLES.test(state.src) && autolink(state, silent); // <xs:element> is text, not a link
  });
  parser.core.ruler.before("inline", "brackets", boundBrackets);
  parser.core.ruler.after("block", "strip", stripContent);
  parser.core.ruler.after("inline", "find_links", findLinks);
  return parser;
}

/** Lone surrogates and control characters become U+FFFD, one for one; newlines and tabs stay. */
export function clean(text) {
  return text.toWellFormed().replace(CONTROLS, "\ufffd");
}

/** The function behind a rule's name. */
function ruleOf(ruler, name) {
  return ruler.__rules__.find((rule) => rule.name === name).fn;
}

function boundBrackets(state) {
  for (const token of state.tokens) {
    if (token.type === "inline" && token.content.split("[").length - 1 > MAX_BRACKETS) token.type = "plain";
  }
}

// The other twin's parser strips every kind of white space from a paragraph, ours only blanks.
function stripContent(state) {
  for (const token of state.tokens) {
    if (token.type === "inline") token.content = token.content.replace(EDGE_SPACE, "");
  }
}

function findLinks(state) {
  for (const token of state.tokens) {
    if (token.type === "inline" && (token.content.includes("://") || token.content.includes("@"))) {
      token.children = withLinks(state, token.children ?? []);
    }
  }
}

function withLinks(state, children) {
  const found = [];
  let inLink = 0;
  for (const child of children) {
    inLink += Number(child.type === "link_open") - Number(child.type === "link_close");
    if (child.type === "text" && !inLink) found.push(...split(state, child));
    else found.push(child);
  }
  return found;
}

function split(state, text) {
  const pieces = [];
  let done = 0;
  for (const match of text.content.matchAll(ADDRESS)) {
    const address = trimmed(match[0]);
    const href = state.md.normalizeLink(address.includes("://") ? address : `mailto:${address}`);
    if (address.length < 4 || !isDestination(href)) continue;
    const opening = new state.Token("link_open", "a", 1);
    opening.attrs = [["href", href]];
    pieces.push(textToken(state, text.content.slice(done, match.index)), opening, textToken(state, address));
    pieces.push(new state.Token("link_close", "a", -1));
    done = match.index + address.length;
  }
  return pieces.length ? [...pieces, textToken(state, text.content.slice(done))] : [text];
}

function textToken(state, content) {
  const token = new state.Token("text", "", 0);
  token.content = content;
  return token;
}

/** The address without the punctuation of the sentence around it. */
function trimmed(address) {
  let end = address.length;
  for (; end > 0; end -= 1) {
    const last = address[end - 1];
    const opening = { ")": "(", "]": "[" }[last];
    const text = address.slice(0, end);
    if (!".,;:!?'*_~-)]".includes(last) || (opening && count(text, opening) >= count(text, last))) break;
  }
  return address.slice(0, end);
}

function count(text, character) {
  return text.split(character).length - 1;
}

/**
 * Whether people may follow `href`: http, https and mailto, without user or password, and no host name that
 * browsers would read as another one.
 */
export function isDestination(href) {
  if (MAIL.test(href)) return true;
  if (!HTTP.test(href)) return false;
  if (!href.toLowerCase().includes("xn--")) return true;
  const host = plainParser.normalizeLinkText(href).slice(0, 300).split("/")[2];
  return host === host.normalize("NFKC").toLowerCase() && !MIXED_DIRECTIONS.test(host);
}

function mathInline(state, silent) {
  const { src, pos } = state;
  const opening = src.slice(pos, pos + 2);
  let found = null;
  if (opening in CLOSING) found = delimited(src, pos, opening);
  else if (src[pos] === "$") found = dollars(src, pos);
  if (!found || found.end > state.posMax) return false;
  if (!silent) {
    const token = state.push("math_inline", "span", 0);
    token.content = found.content;
    token.meta = { display: opening === "$$" || opening === "\\[" };
  }
  state.pos = found.end;
  return true;
}

function findWithin(text, mark, from, limit) {
  const at = text.slice(from, limit).indexOf(mark);
  return at < 0 ? -1 : from + at;
}

function delimited(src, start, opening) {
  if (start > 0 && src[start - 1] === opening[0]) return null;
  const end = findWithin(src, CLOSING[opening], start + 2, start + 2 + MAX_INLINE_MATH);
  const content = end > 0 ? strip(src.slice(start + 2, end)) : "";
  return content ? { end: end + 2, content } : null;
}

function dollars(src, start) {
  if (start > 0 && (src[start - 1] === "$" || WORD.test(src[start - 1]))) return null;
  const limit = start + 1 + MAX_INLINE_MATH;
  let end = findWithin(src, "$", start + 1, limit);
  while (end > 0 && src[end - 1] === "\\") end = findWithin(src, "$", end + 1, limit);
  const content = end > 0 ? src.slice(start + 1, end) : "";
  const after = src.slice(end + 1, end + 2);
  if (!content || isSpace(content[0]) || isSpace(content.at(-1)) || after === "$" || WORD.test(after)) return null;
  return { end: end + 1, content };
}

function mathBlock(state, start, end, silent) {
  if (state.sCount[start] - state.blkIndent >= 4) return false;
  const first = lineOf(state, start);
  const opening = first.slice(0, 2);
  if (opening !== "$$" && opening !== "\\[") return false;
  const last = lastLine(state, start, end, first.slice(2), CLOSING[opening]);
  if (last === null) return false;
  let content = strip(state.getLines(start, last + 1, state.blkIndent, false));
  content = content.slice(2);
  const closed = content.endsWith(CLOSING[opening]);
  if (closed) content = content.slice(0, -2);
  else content = content.replace(/[$\\]$/, ""); // half a closing mark
  content = strip(content);
  if (!content && (closed || !state.env.open)) return false;
  if (silent) return true;
  state.line = last + 1;
  const token = state.push("math_block", "p", 0);
  token.content = content;
  token.map = [start, state.line];
  token.meta = { unclosed: !closed };
  return true;
}

function lastLine(state, start, end, rest, closing) {
  let text = rest;
  const limit = Math.min(end, start + MAX_BLOCK_MATH);
  for (let line = start; line < limit; line += 1) {
    if (line > start) {
      text = lineOf(state, line);
      if (!strip(text) || state.sCount[line] < state.blkIndent) return null;
    }
    const at = text.indexOf(closing);
    if (at >= 0) return strip(text.slice(at + 2)) ? null : line;
  }
  // Unfinished, and nothing follows that could yet belong elsewhere.
  const atEnd = limit === end && state.eMarks[end - 1] + 1 >= state.src.length;
  return state.env.open && atEnd ? end - 1 : null;
}

function lineOf(state, line) {
  return state.src.slice(state.bMarks[line] + state.tShift[line], state.eMarks[line]);
}

// Half-written marks, held back or closed, so that nothing is shown raw and restyled a moment later. Pure functions on
// strings; only the display uses them, never the finished text.

// Last lines that may yet become something else, as a whole.
const UNDECIDED_LINES = [
  /^\s*[-=*_+#>|:`~$ \t]*$/, // a rule, an underline, a marker, a fence, a formula's frame
  /^\s*(?:[-*+>] *)*\d{1,9}[.)]?[ \t]*$/, // the number of a list item
  /^ {0,3}(?:`{3,}|~{3,})[^\n`]*$/, // a fence whose language is being written
  /^ {0,3}\[[^\]\n]*\]:/, // a link definition
  /^ {0,3}\\$/,
];

/**
 * The part of `text` (from a block's start) that can be shown.
 * @param {{inCode: boolean, inTable: boolean}} where what the text's end is inside of
 */
export function holdBack(text, { inCode, inTable }) {
  const start = text.lastIndexOf("\n") + 1;
  const last = text.slice(start);
  if (inCode) return last && /^[ \t>]*[`~]*[ \t]*$/.test(last) ? text.slice(0, start) : withoutHalfCharacter(text);
  if (inTable && last) return text.slice(0, start);
  const undecided = UNDECIDED_LINES.some((pattern) => pattern.test(last)) || /^\s*\|/.test(last);
  if (!undecided) return withoutHalfCharacter(text);
  const header = text.slice(text.lastIndexOf("\n", start - 2) + 1, start);
  const waiting = start > 0 && !inTable && /^\s*\|/.test(header) && /^[ \t|:-]*$/.test(last);
  return text.slice(0, waiting ? start - header.length : start);
}

function withoutHalfCharacter(text) {
  return /[\ud800-\udbff]$/.test(text) ? text.slice(0, -1) : text;
}

/** The inline Markdown `text` with half-written ends removed and open marks closed. */
export function closeOpenMarks(text) {
  if (/^\[[ xX]?\]?$/.test(text)) return ""; // a task's box
  const cut = text.replace(/(?:&#?[0-9A-Za-z]{0,31}|<[A-Za-z/!][^\s<>]*|(?<!\\)\\|(?:^|(?<=\s))!|<)$/, "");
  const scan = new Scan(cut);
  return scan.run();
}

class Scan {
  constructor(text) {
    this.text = text;
    this.brackets = [];
    this.marks = [];
  }

  run() {
    let i = 0;
    while (i < this.text.length) {
      const next = this.step(i);
      if (typeof next === "string") return next;
      i = next;
    }
    return this.closeMarks(this.closeBracket(this.text));
  }

  /** The position after what stands at i, or the whole result when the rest is inside something open. */
  step(i) {
    const { text } = this;
    const character = text[i];
    if (character === "\\" && (text[i + 1] === "(" || text[i + 1] === "[")) return this.math(i, text[i + 1] === "(" ? "\\)" : "\\]");
    if (character === "\\") return i + 2;
    if (character === "`") return this.code(i);
    if (character === "$") return this.dollar(i);
    if (character === "[") {
      this.brackets.push({ at: i, image: text[i - 1] === "!", marks: this.marks.length });
      return i + 1;
    }
    if (character === "]") return this.closing(i);
    if (character === "*" || character === "_" || character === "~") return this.mark(i);
    return i + 1;
  }

  code(i) {
    const run = /`+/y;
    run.lastIndex = i;
    const ticks = run.exec(this.text)[0];
    const after = i + ticks.length;
    const closes = new RegExp(`(?<!\`)${ticks}(?!\`)`, "g");
    closes.lastIndex = after;
    const found = closes.exec(this.text);
    if (found) return found.index + ticks.length;
    const rest = this.text.slice(after).replace(/`+$/, "");
    const before = this.text.slice(0, i);
    return this.closeMarks(this.closeBracket(rest.trim() ? `${before}${ticks}${rest}${ticks}` : before));
  }

  math(i, closing) {
    const found = this.text.indexOf(closing, i + 2);
    if (found >= 0) return found + 2;
    const rest = this.text.slice(i + 2).replace(/[\\$]$/, "");
    const before = this.text.slice(0, i);
    const opening = this.text.slice(i, i + 2);
    return this.closeMarks(this.closeBracket(rest.trim() ? `${before}${opening}${rest}${closing}` : before));
  }

  dollar(i) {
    const { text } = this;
    if (text[i + 1] === "$") return this.math(i, "$$");
    const found = text.indexOf("$", i + 1);
    if (found >= 0) return /[\s\d]/.test(text[i + 1]) ? i + 1 : found + 1;
    const rest = text.slice(i + 1);
    // Money and shell variables are not formulas: close only what looks like TeX.
    if (rest.length > 200 || !/^[^\s\d]/.test(rest) || !/[\\^_{=]/.test(rest)) return i + 1;
    return this.closeMarks(this.closeBracket(`${text.slice(0, i)}$${rest.trimEnd()}$`));
  }

  closing(i) {
    const opened = this.brackets.at(-1);
    if (!opened) return i + 1;
    const { text } = this;
    const follower = text[i + 1];
    if (follower === undefined) return i + 1; // may become a link: still open
    this.brackets.pop();
    if (follower !== "(" && follower !== "[") return i + 1;
    const end = text.indexOf(follower === "(" ? ")" : "]", i + 2);
    if (end >= 0) return end + 1;
    if (/\n.*\n|^\([^)]{2000}/.test(text.slice(i + 1))) return i + 1;
    this.brackets.push(opened); // the address is half written: show the words alone
    this.text = text.slice(0, i + 1);
    return i + 1;
  }

  /** Without the bracket of a link that is not complete; a half-written image shows nothing. */
  closeBracket(text) {
    const open = this.brackets.find(({ at }) => /^\[[^\]]{0,500}\]?[^\]]*$/s.test(text.slice(at)));
    if (!open) return text;
    if (open.image) {
      this.marks.length = open.marks;
      return text.slice(0, open.at - 1);
    }
    return text.slice(0, open.at) + text.slice(open.at + 1).replace(/\]$/, "");
  }

  mark(i) {
    const { text } = this;
    let end = i;
    while (text[end] === text[i]) end += 1;
    if (end === text.length) return end; // cut below: it may go on
    const before = text[i - 1] ?? " ";
    const after = text[end];
    const opens = !/\s/.test(after) && (!isPunctuation(after) || /\s/.test(before) || isPunctuation(before));
    const closes = !/\s/.test(before) && (!isPunctuation(before) || /\s/.test(after) || isPunctuation(after));
    const inWord = text[i] === "_" && /\w/.test(before) && /\w/.test(after);
    let length = end - i;
    if (text[i] === "~" && length !== 2) return end;
    while (closes && !inWord && length > 0) {
      const at = this.marks.findLastIndex((mark) => mark[0] === text[i]);
      if (at < 0) break;
      const open = this.marks[at];
      this.marks.length = at;
      if (open.length > length) this.marks.push(open.slice(length));
      length -= Math.min(open.length, length);
    }
    if (opens && !inWord && length > 0) this.marks.push(text[i].repeat(length));
    return end;
  }

  closeMarks(text) {
    const cut = text.replace(/[*_~]+$/, "").trimEnd();
    return this.marks.length ? cut + this.marks.reverse().join("") : cut;
  }
}

function isPunctuation(character) {
  return /[\p{P}\p{S}]/u.test(character);
}

/** The text nests deeper than we render. */
export class TooDeep extends Error {}

const partParser = makeParser();
partParser.core.ruler.after("block", "loosen", (state) => {
  if (state.env.loose) loosen(state.tokens);
});
partParser.core.ruler.before("inline", "repair", (state) => {
  if (state.env.repair) repair(state.tokens, state.src);
});

function loosen(tokens) {
  for (const token of tokens) {
    if (token.level === 0 && token.nesting < 0) return;
    if (token.level === 2 && token.type.startsWith("paragraph_")) token.hidden = false;
  }
}

function repair(tokens, source) {
  const at = tokens.findLastIndex((token) => token.type === "inline");
  if (at < 0 || tokens.slice(at + 1).some((token) => token.nesting >= 0)) return;
  const around = tokens[at + 1].type;
  const complete = around === "td_close" || around === "th_close" || (around === "heading_close" && source.endsWith("\n"));
  if (!complete && !/\n[ \t]*\n[ \t]*$/.test(source.slice(-200))) tokens[at].content = closeOpenMarks(tokens[at].content);
}

/**
 * The blocks of a part, without their inline text.
 * @returns {{blocks: object[], lineStarts: number[], where: {inCode: boolean, inTable: boolean}}}
 */
export function parseBlocks(source, references, open) {
  const tokens = [];
  const env = { references: Object.create(references), open };
  partParser.block.parse(clean(source), partParser, env, tokens);
  const lineStarts = [0];
  for (let at = source.indexOf("\n"); at >= 0; at = source.indexOf("\n", at + 1)) lineStarts.push(at + 1);
  const blocks = [];
  for (const token of tokens) {
    if (token.level >= MAX_NESTING - 1 && source.endsWith("\n")) throw new TooDeep();
    collect(blocks, token);
  }
  const block = blocks.at(-1);
  if (block?.type === "fence") block.openFence = isOpenFence(source, lineStarts, block);
  const last = tokens.findLast((token) => token.nesting >= 0);
  const inCode = last?.type === "code_block" || (last?.type === "fence" && (last.level > 0 || block.openFence));
  // Until the line under the head has ended it may still get more columns than the head.
  const inTable = block?.type === "table_open" && lineStarts.length > block.start + 2;
  return { blocks, lineStarts, where: { inCode, inTable } };
}

function collect(blocks, token) {
  if (token.level === 0 && token.nesting >= 0) {
    const [start, end] = token.map;
    blocks.push({ type: token.type, start, end, markup: token.markup, definition: token.type === "reference_definition", unsure: Boolean(token.meta?.unclosed), parts: [], loose: false });
    return;
  }
  const block = blocks.at(-1);
  if (token.type === "list_item_open" && token.level === 1) block.parts.push(token.map[0]);
  else if (token.type === "tr_open" && token.level === 2) block.parts.push(token.map[0]);
  else if (token.type === "paragraph_open" && token.level === 2 && block.type.endsWith("list_open")) {
    block.loose = !token.hidden;
    block.tells = true; // whether the list is loose shows only in an item's own paragraphs
  }
}

function isOpenFence(source, lineStarts, block) {
  if (block.end - block.start < 2) return true;
  const closing = new RegExp(`^ {0,3}${block.markup[0]}{${block.markup.length},}[ \\t]*$`);
  const from = lineStarts[block.end - 1];
  return !closing.test(source.slice(from, lineStarts[block.end] ?? source.length).replace(/\n$/, ""));
}

/** How many of the blocks nothing that follows can change: all but the last, and the definition it may belong to. */
export function closedBlocks(blocks, done) {
  if (done) return blocks.length;
  let count = Math.max(0, blocks.length - 1);
  // A formula that never ends becomes part of the paragraph before it.
  if (count > 0 && blocks[count].unsure && blocks[count - 1].end === blocks[count].start) count -= 1;
  while (count > 0 && blocks[count - 1].definition && blocks[count - 1].end === blocks[count].start) count -= 1;
  return count;
}

/** The tokens of a part that is final, one group for each block that becomes an element. */
export function parseWhole(source, references, loose) {
  const groups = [];
  for (const token of partParser.parse(clean(source), { references, loose })) {
    if (token.type === "reference_definition") continue;
    if (token.level === 0 && token.nesting >= 0) groups.push([]);
    groups.at(-1).push(token);
  }
  return groups;
}

/** The tokens of a part that is still being written, its open marks closed. */
export function parseOpen(source, references, loose) {
  const env = { references: Object.create(references), open: true, repair: true, loose };
  return partParser.parse(clean(source), env).filter((token) => token.type !== "reference_definition");
}

/** The labels of possible reference links in a part, as link definitions are looked up. */
export function labelsIn(source) {
  if (!source.includes("[")) return [];
  const labels = source.matchAll(/\[((?:[^[\]\\]|\\.){1,999})\]/gs);
  return Array.from(labels, (match) => partParser.utils.normalizeReference(match[1]));
}

/** With newlines for every kind of line's end; half of one is left out until the text is done. */
export function normalise(text, done) {
  let whole = text;
  if (whole.includes("\r")) {
    if (!done && whole.endsWith("\r")) whole = whole.slice(0, -1); // half of a line's end
    whole = whole.replace(/\r\n?/g, "\n");
  }
  return whole;
}

/** Whether `after` is `before` and more; unless `exactly`, judged by the end of `before`. */
export function continues(before, after, exactly) {
  return exactly ? after.startsWith(before) : after.startsWith(before.slice(-256), Math.max(0, before.length - 256));
}
