// Parses parts of a text for the streaming renderer: which blocks a part has, where they begin, which are open.
// Must not touch the page.

import { MAX_NESTING, clean, makeParser } from "stkweb/markdown-rules";
import { TooDeep } from "stkweb/markdown-output";
import { closeOpenMarks } from "stkweb/markdown-repair";

const parser = makeParser();
parser.core.ruler.after("block", "loosen", (state) => {
  if (state.env.loose) loosen(state.tokens);
});
parser.core.ruler.before("inline", "repair", (state) => {
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
  parser.block.parse(clean(source), parser, env, tokens);
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
  for (const token of parser.parse(clean(source), { references, loose })) {
    if (token.type === "reference_definition") continue;
    if (token.level === 0 && token.nesting >= 0) groups.push([]);
    groups.at(-1).push(token);
  }
  return groups;
}

/** The tokens of a part that is still being written, its open marks closed. */
export function parseOpen(source, references, loose) {
  const env = { references: Object.create(references), open: true, repair: true, loose };
  return parser.parse(clean(source), env).filter((token) => token.type !== "reference_definition");
}

/** The labels of possible reference links in a part, as link definitions are looked up. */
export function labelsIn(source) {
  if (!source.includes("[")) return [];
  const labels = source.matchAll(/\[((?:[^[\]\\]|\\.){1,999})\]/gs);
  return Array.from(labels, (match) => parser.utils.normalizeReference(match[1]));
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
