// For text still being written: hold back half-written marks and close what is open, so that nothing is shown raw
// and restyled a moment later. Pure functions on strings; only the display uses them, never the finished text.

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
