// Text nodes that only grow: an open code block and an answer shown as plain text cost nothing but their new text.
// Must not parse Markdown beyond the line that closes a code block.

import { clean } from "stkweb/markdown-rules";

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
