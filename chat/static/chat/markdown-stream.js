// An answer rendered while it is written. Finished blocks are never touched again; only the last, open block is
// parsed anew, from its own start: in a long list from the last item, in a long table from the last row, in an open
// code block not at all. Must end in exactly the nodes that render() gives for the whole text.

import { MAX_UNITS, plain, renderTokens, sanitiseToFragment } from "stkweb/markdown";
import { clean, closedBlocks, continues, holdBack, labelsIn, normalise, parseBlocks, parseOpen, parseWhole, TooDeep } from "stkweb/markdown-parse";

// An open block above this size is shown again only after it grew by a 32nd: total cost stays linear.
const LARGE_BLOCK = 8 * 1024;
const GROWTH = 32;

export class StreamRenderer {
  /** @param {Element} element its content is replaced */
  constructor(element) {
    this.element = element;
    this.reset();
  }

  /** Show `fullText`, the answer so far: the text of the last call and what was added since. */
  update(fullText) {
    this.advance(normalise(fullText, false), false);
  }

  /** Show `fullText` as the complete answer: the same nodes as rendering it at once. */
  finish(fullText) {
    this.advance(normalise(fullText, true), true);
    while (!this.plain && this.element.childNodes.length > this.blocks.length * 2) this.element.lastChild.remove();
  }

  reset() {
    this.element.replaceChildren();
    this.text = "";
    this.references = {};
    this.open = null;
    this.plainText = null;
    this.blocks = []; // finished: {start, end, element, headings, labels}
    this.plain = false;
    this.boundary = 0; // the complete lines end here
    this.openBlock(0, []);
  }

  openBlock(start, headings) {
    const shown = this.open?.shownNodes ?? 0;
    this.open = {
      kind: "block", // or "list", "table", "code"
      start, // of the block
      cut: start, // parsed from here
      prefix: "", // a table's head, before what is cut
      before: headings, // heading levels at start
      headings, // heading levels at cut
      done: 0, // items or rows that are finished
      loose: false, // a list whose items are paragraphs
      labels: new Set(),
      first: this.blocks.length * 2, // index of its first node: every block is an element and a newline
      shownNodes: shown,
      drawn: 0, // length at the last display
      looked: 0, // length at the last search for finished blocks
    };
  }

  advance(text, done) {
    if (text.length < this.text.length || !continues(this.text, text, done)) this.reset();
    if (text.length > MAX_UNITS) this.plain = true;
    this.text = text;
    try {
      if (!this.plain) return this.advanceBlocks(done);
    } catch (error) {
      if (!(error instanceof TooDeep)) throw error;
      this.plain = true;
    }
    return this.advancePlain(done);
  }

  advancePlain(done) {
    const { text } = this;
    if (!done && this.plainText) return this.plainText.append(text, text.length);
    morphChildren(this.element, sanitiseToFragment(plain(clean(text))).childNodes);
    this.plainText = new GrowingText(this.element.firstChild.firstChild, text.length);
  }

  advanceBlocks(done) {
    if (this.open.kind === "code" && !this.appendCode(done)) return;
    const boundary = done ? this.text.length : this.text.lastIndexOf("\n") + 1;
    const size = boundary - this.open.cut;
    if (done || (boundary > this.boundary && grown(size, this.open.looked))) {
      this.boundary = boundary;
      this.open.looked = size;
      this.settle(done);
    }
    if (done) return;
    if (this.open.kind === "code") this.appendCode(false);
    else this.display();
  }

  /** Finish what the complete lines have finished. */
  settle(done) {
    const { open } = this;
    const source = open.prefix + this.text.slice(open.cut, this.boundary);
    const { blocks, lineStarts } = parseBlocks(source, this.references, !done);
    const count = closedBlocks(blocks, done);
    const at = (line) => open.cut + lineStarts[line] - open.prefix.length;
    if (blocks[0]?.loose && open.kind === "list") this.loosen();
    if (open.kind === "list" && count > 0 && !blocks[0].tells) {
      this.reopen();
      return this.settle(done);
    }
    if (count > 0 || done) {
      const end = count < blocks.length ? at(blocks[count].start) : this.boundary;
      this.finishBlocks(blocks.slice(0, count), end, at);
      if (done) return;
      this.openBlock(end, this.headingsNow);
      this.open.looked = this.boundary - end;
      if (count < blocks.length) return this.settle(false);
      return;
    }
    if (blocks.length !== 1) return;
    if (open.kind === "block") {
      open.start = at(blocks[0].start);
      open.cut = open.start;
    }
    this.settleInside(blocks[0], at);
  }

  /** In an open list finish the items before the last, in an open table the rows; an open code block is appended to. */
  settleInside(block, at) {
    const { open } = this;
    if (block.definition || (open.kind === "block" && at(block.start) !== open.start)) return;
    if (block.type === "bullet_list_open" || block.type === "ordered_list_open") {
      const last = block.parts.at(-1);
      if (block.parts.length > 1 && block.tells) this.finishItems(at(last), block);
    } else if (block.type === "table_open") {
      if (block.parts.length > 2) this.finishRows(at, block); // the first part is the head
    } else if (block.type === "fence" && block.openFence && open.kind === "block") {
      this.startCode(at(block.start));
    }
  }

  /** Forget that parts of the open block are finished. */
  reopen() {
    Object.assign(this.open, { kind: "block", done: 0, loose: false, headings: this.open.before });
    this.open.cut = this.open.start;
  }

  finishItems(end, block) {
    const { open } = this;
    open.kind = "list";
    open.loose ||= block.loose;
    const { nodes } = this.piece(open.cut, end, { headings: open.headings, loose: open.loose });
    const list = this.container("list", nodes[0]);
    this.keepLabels(open, open.cut, end);
    morphChildren(list, nodes[0].childNodes, open.done, true);
    open.done += block.parts.length - 1;
    open.headings = this.headingsNow;
    open.cut = end;
    open.looked = this.boundary - end;
  }

  finishRows(at, block) {
    const { open } = this;
    const rows = block.parts.slice(1);
    const end = at(rows.at(-1));
    open.kind = "table";
    const headEnd = at(block.start + 2);
    const { nodes } = this.piece(open.cut, end, { prefix: open.prefix });
    open.prefix ||= this.text.slice(open.start, headEnd);
    this.keepLabels(open, open.cut, end);
    const body = this.container("table", nodes[0]);
    morphChildren(body, nodes[0].querySelector("tbody").childNodes, open.done, true);
    open.done += rows.length - 1;
    open.cut = end;
    open.looked = this.boundary - end;
  }

  /** The live list, or the live table's body; made from `fresh` when nothing is shown yet. */
  container(kind, fresh) {
    const { open, element } = this;
    if (!open.shownNodes) {
      element.append(fresh.cloneNode(true), "\n");
      open.shownNodes = 2;
    }
    let live = element.childNodes[open.first];
    if (live.nodeName !== fresh.nodeName || live.className !== fresh.className) live = morph(live, fresh.cloneNode(true));
    if (kind === "list") return live;
    if (!live.querySelector("tbody")) live.querySelector("table").append(document.createElement("tbody"));
    return live.querySelector("tbody");
  }

  /** Finished blocks take their final form; the range runs from the cut to `end`. */
  finishBlocks(blocks, end, at) {
    const { open } = this;
    const { nodes } = this.piece(open.cut, end, { headings: open.headings, prefix: open.prefix, loose: open.loose });
    let first = 0;
    if (open.done) {
      const fresh = nodes[0];
      const live = this.container(open.kind, fresh);
      const rest = open.kind === "table" ? fresh.querySelector("tbody").childNodes : fresh.childNodes;
      morphChildren(live, rest, open.done);
      first = 2;
    }
    const { element } = this;
    for (let i = first; i < nodes.length; i += 1) {
      const old = element.childNodes[open.first + i];
      if (old && i < open.shownNodes) morph(old, nodes[i]);
      else element.insertBefore(nodes[i], old ?? null);
    }
    open.shownNodes = Math.max(0, open.shownNodes - nodes.length);
    this.record(blocks.filter((block) => !block.definition), end, at, first > 0);
  }

  record(blocks, end, at, continued) {
    const { open } = this;
    blocks.forEach((block, i) => {
      const start = i === 0 && continued ? open.start : at(block.start);
      const index = this.blocks.length;
      const finished = {
        start,
        end: i + 1 < blocks.length ? at(blocks[i + 1].start) : end,
        headings: i === 0 && continued ? open.before : this.headingsAt[i],
        element: this.element.childNodes[index * 2],
        labels: i === 0 && continued ? open.labels : new Set(),
      };
      finished.element.removeAttribute("data-open");
      this.keepLabels(finished, i === 0 && continued ? open.cut : start, finished.end);
      this.blocks.push(finished);
    });
  }

  keepLabels(block, start, end) {
    for (const label of labelsIn(this.text.slice(start, end))) block.labels.add(label);
  }

  /** Parse and render a range for good. @returns {{nodes: Node[]}} */
  piece(start, end, { headings = [], prefix = "", loose = false }) {
    const known = Object.keys(this.references).length;
    const tokens = parseWhole(prefix + this.text.slice(start, end), this.references, loose);
    this.headingsAt = [];
    const parts = tokens.map((group) => {
      this.headingsAt.push(headings);
      const rendered = renderTokens(group, headings);
      headings = rendered.headings;
      return rendered.html;
    });
    this.headingsNow = headings;
    const nodes = [...sanitiseToFragment(parts.join("")).childNodes];
    const labels = Object.keys(this.references).slice(known);
    if (labels.length) this.redefine(new Set(labels));
    return { nodes };
  }

  /** New link definitions: render again what waited for them. */
  redefine(labels) {
    const [headingsNow, headingsAt] = [this.headingsNow, this.headingsAt];
    const { open } = this;
    const concerns = (block) => [...block.labels].some((label) => labels.has(label));
    for (const block of this.blocks.filter(concerns)) {
      block.element = morph(block.element, this.piece(block.start, block.end, { headings: block.headings }).nodes[0]);
    }
    if (open.done && concerns(open)) this.redrawDone();
    [this.headingsNow, this.headingsAt] = [headingsNow, headingsAt];
  }

  /** Render the finished items or rows of the open block again, all of them. */
  redrawDone() {
    const { open } = this;
    const { nodes } = this.piece(open.start, open.cut, { headings: open.before, loose: open.loose });
    const live = this.container(open.kind, nodes[0]);
    const fresh = open.kind === "table" ? nodes[0].querySelector("tbody") : nodes[0];
    [...fresh.childNodes].forEach((node, i) => morph(live.childNodes[i], node));
  }

  loosen() {
    if (this.open.loose) return;
    this.open.loose = true;
    const kept = [this.headingsNow, this.headingsAt];
    this.redrawDone();
    [this.headingsNow, this.headingsAt] = kept;
  }

  /** Show the open block (up to `end`) with half-written marks held back or closed. */
  display(end = this.text.length) {
    const { open, element } = this;
    if (open.kind === "code" || !grown(end - open.cut, open.drawn)) return;
    open.drawn = end - open.cut;
    const source = open.prefix + this.text.slice(open.cut, end);
    const visible = holdBack(source, parseBlocks(source, this.references, true).where);
    const tokens = parseOpen(visible, this.references, open.loose);
    let fresh = [];
    try {
      fresh = [...sanitiseToFragment(renderTokens(tokens, open.headings).html).childNodes];
    } catch (error) {
      if (!(error instanceof TooDeep)) throw error; // decided when the line is complete
    }
    let skip = 0;
    if (open.done) {
      const live = element.childNodes[open.first];
      const same = fresh[0]?.nodeName === live.nodeName;
      const target = open.kind === "table" ? live.querySelector("tbody") : live;
      const source = open.kind === "table" ? fresh[0]?.querySelector("tbody") : fresh[0];
      morphChildren(target, same && source ? source.childNodes : [], open.done);
      fresh = fresh.slice(same ? 2 : 0);
      skip = 2;
    }
    morphChildren(element, fresh, open.first + skip);
    open.shownNodes = element.childNodes.length - open.first;
    for (let i = open.first; i < element.childNodes.length; i += 2) element.childNodes[i].setAttribute("data-open", "");
  }

  startCode(start) {
    const { open } = this;
    const fence = openingFence(this.text, start);
    if (!fence || start !== open.start) return;
    open.drawn = 0;
    this.display(this.boundary);
    const code = this.element.childNodes[open.first]?.querySelector("pre > code");
    if (!code) return;
    open.kind = "code";
    open.code = new OpenCode(code, fence, this.boundary);
  }

  /** Append to the open code block. @returns {boolean} whether the block must be parsed again: closed or at its end */
  appendCode(done) {
    if (!this.open.code.append(this.text, done)) return false;
    Object.assign(this.open, { kind: "block", drawn: 0, looked: 0 });
    this.boundary = 0;
    return true;
  }
}

function grown(size, before) {
  return size < LARGE_BLOCK || size < before || size - before >= before / GROWTH;
}

// Nodes of an answer that is being written: text that only grows, and a part of the page that becomes equal to freshly
// made nodes.


// -- Text nodes that only grow ---------------------------------------------------------------------------

// An open code block and an answer shown as plain text cost nothing but their new text.

/** A text node that shows a text from some point on. */
export class GrowingText {
  /** @param {Text} node @param {number} shown how much of the text it shows already */
  constructor(node, shown) {
    this.node = node;
    this.shown = shown;
  }

  /** Show `text` up to `end`, but never half a character. */
  append(text, end) {
    const whole = /[\ud800-\udbff]/.test(text.slice(end - 1, end)) ? end - 1 : end;
    if (whole <= this.shown) return;
    this.node.appendData(clean(text.slice(this.shown, whole)));
    this.shown = whole;
  }
}

/** The marks that open the code block at `start`, or null when it is indented. */
export function openingFence(text, start) {
  const found = /^(`{3,}|~{3,})/.exec(text.slice(start, text.indexOf("\n", start)));
  return found ? found[1] : null;
}

/** An open code block that begins at the margin. */
export class OpenCode {
  /** @param {Element} code @param {string} fence @param {number} shown the text's length so far, at a line's end */
  constructor(code, fence, shown) {
    this.closing = new RegExp(`^ {0,3}${fence[0]}{${fence.length},}[ \\t]*$`);
    this.mayClose = new RegExp(`^ {0,3}${fence[0]}*[ \\t]*$`);
    this.content = new GrowingText(code.firstChild ?? code.appendChild(document.createTextNode("")), shown);
    this.line = shown;
  }

  /** @returns {boolean} whether the block has ended: it is closed, or the text is `done` */
  append(text, done) {
    for (let end = text.indexOf("\n", this.line); end >= 0; end = text.indexOf("\n", this.line)) {
      if (this.closing.test(text.slice(this.line, end))) return true;
      this.line = end + 1;
    }
    if (done) return true;
    this.content.append(text, this.mayClose.test(text.slice(this.line)) ? this.line : text.length);
    return false;
  }
}

// -- Nodes made equal ------------------------------------------------------------------------------------

// A part of the page becomes equal to freshly made nodes while every node that is already right is kept, so that a
// selection or a scroll position inside it survives.

/**
 * Make parent's children from index `first` on equal to `fresh` (nodes that may be moved into the page).
 * @param {boolean} keepRest leave what follows them
 */
export function morphChildren(parent, fresh, first = 0, keepRest = false) {
  const wanted = [...fresh];
  wanted.forEach((node, i) => {
    const old = parent.childNodes[first + i];
    if (!old) parent.append(node);
    else morph(old, node);
  });
  while (!keepRest && parent.childNodes.length > first + wanted.length) parent.lastChild.remove();
}

/** Make `old` equal to `fresh`; @returns {Node} the node now in its place */
export function morph(old, fresh) {
  if (old.nodeType !== fresh.nodeType || old.nodeName !== fresh.nodeName) {
    old.replaceWith(fresh);
    return fresh;
  }
  if (old.nodeType === Node.TEXT_NODE) {
    morphText(old, fresh.data);
    return old;
  }
  if (old.isEqualNode(fresh)) return old;
  morphAttributes(old, fresh);
  morphChildren(old, fresh.childNodes);
  return old;
}

function morphText(node, data) {
  if (node.data === data) return;
  if (data.startsWith(node.data)) node.appendData(data.slice(node.data.length));
  else node.data = data;
}

function morphAttributes(old, fresh) {
  // Names in another order too: the page's HTML is to be the same, not only its meaning.
  const names = (element) => Array.from(element.attributes, ({ name }) => name);
  if (names(old).join(" ") !== names(fresh).join(" ")) for (const name of names(old)) old.removeAttribute(name);
  for (const { name, value } of fresh.attributes) {
    if (old.getAttribute(name) !== value) old.setAttribute(name, value);
  }
}
