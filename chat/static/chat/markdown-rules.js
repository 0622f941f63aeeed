// What we add to markdown-it: mathematics, bounded brackets, and which angle brackets are links.
// Twin of chat/markdown/rules.py; keep both word for word alike. Must not produce HTML.
// For text still being written (env.open) an unfinished formula counts as closed at the end.

import MarkdownIt from "markdown-it";

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
export function ruleOf(ruler, name) {
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
