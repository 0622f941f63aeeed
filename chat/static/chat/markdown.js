// Markdown -> safe HTML in the browser: the twin of chat/markdown, for answers while they are written.
// Must not fetch anything an answer names. For every text the HTML equals the server's, byte for byte.

import "dompurify";
import { clean, HTTP, isDestination, MAIL, makeParser, MAX_NESTING, strip, TooDeep } from "stkweb/markdown-parse";

// -- Tokens to HTML --------------------------------------------------------------------------------------

// Our classes, demoted headings, visible destinations, no embeds. Twin of chat/markdown/output.py; keep both word for
// word alike. Every top-level block becomes exactly one element followed by a newline: the streaming renderer relies
// on it.

// UTF-16 code units; beyond it text stays plain.
export const MAX_UNITS = 512 * 1024;
const TASK = /^\[([ xX])\](?:[ \t]+|$)/;
const LANGUAGE = /^[A-Za-z0-9_+#.-]{1,32}$/;
const ALIGN = /^text-align:(left|center|right)/;
// Marks that reorder or override the direction of what follows: they can disguise a link's words.
const REORDERING = /[\u202a-\u202e\u2066-\u2069]/g;
const REL = 'target="_blank" rel="noopener noreferrer nofollow ugc"';
const SIMPLE = {
  strong_open: "<strong>",
  strong_close: "</strong>",
  em_open: "<em>",
  em_close: "</em>",
  s_open: "<s>",
  s_close: "</s>",
  softbreak: "\n",
  hardbreak: "<br>\n",
  hr: "<hr>",
  blockquote_open: '<blockquote dir="auto">',
  blockquote_close: "</blockquote>",
  bullet_list_open: "<ul>",
  bullet_list_close: "</ul>",
  ordered_list_close: "</ol>",
  list_item_close: "</li>",
  table_close: "</table></div>",
  thead_open: "<thead>",
  thead_close: "</thead>",
  tbody_open: "<tbody>",
  tbody_close: "</tbody>",
  tr_open: "<tr>",
  tr_close: "</tr>",
  th_close: "</th>",
  td_close: "</td>",
};

/** The words that stand in the HTML itself, as plain text in one language; the page replaces them. */
const labels = { open: "open", image: "image", table: "table" };

function escape(text) {
  return text
    .replaceAll("&", "&amp;")
    .replaceAll("<", "&lt;")
    .replaceAll(">", "&gt;")
    .replaceAll('"', "&quot;")
    .replaceAll("\r", "\n");
}

/** The text as one escaped, preformatted block. */
export function plain(text) {
  const clean = text.replace(/\r\n?/g, "\n").replace(/^\n+/, "");
  return `<pre class="plain" dir="auto" tabindex="0">${escape(clean)}</pre>\n`;
}

/** Where a link leads when people may follow it: http, https and mailto, without user or password; else null. */
function destination(href) {
  if (!isDestination(href)) return null;
  let found = HTTP.exec(href);
  if (found) return { href, shown: (found[1] + (found[2] ?? "")).toLowerCase(), isMail: false };
  found = MAIL.exec(href);
  return { href, shown: found[1], isMail: true };
}

/** @returns {{html: string, headings: number[]}} headings: the open levels, to go on with in the next part */
export function renderTokens(tokens, headings = []) {
  const output = new Output(headings);
  const html = output.blocks(tokens);
  return { html, headings: output.headings };
}

function textOf(tokens) {
  let text = "";
  for (const token of tokens) {
    if (token.type === "image") text += textOf(token.children ?? []);
    else if (token.type === "softbreak" || token.type === "hardbreak") text += " ";
    else text += token.content;
  }
  return text;
}

function without(text, prefix) {
  return text.startsWith(prefix) ? text.slice(prefix.length) : text;
}

function shows(linkText, target) {
  let text = strip(linkText).toLowerCase();
  const shown = target.shown.toLowerCase();
  if (target.isMail) return without(text, "mailto:") === shown;
  if (shown.includes("xn--")) return false;
  text = without(without(text, "https://"), "http://");
  return text.startsWith(shown) && ["", "/", "?", "#"].includes(text.slice(shown.length, shown.length + 1));
}

function host(shown) {
  const classes = shown.includes("xn--") ? "link-host punycode" : "link-host";
  return `<span class="${classes}" dir="ltr">${escape(shown)}</span>`;
}

class Output {
  constructor(headings) {
    this.headings = [...headings];
    this.headingTag = "";
    this.handlers = {
      paragraph_open: (tokens, i) => this.paragraphOpen(tokens, i),
      paragraph_close: (tokens, i) => (tokens[i].hidden ? "" : "</p>"),
      heading_open: (tokens, i) => this.headingOpen(tokens[i]),
      heading_close: () => `</${this.headingTag}>`,
      ordered_list_open: (tokens, i) => this.orderedListOpen(tokens[i]),
      list_item_open: (tokens, i) => this.listItemOpen(tokens, i),
      table_open: () => this.tableOpen(),
      th_open: (tokens, i) => this.cellOpen("th", tokens[i]),
      td_open: (tokens, i) => this.cellOpen("td", tokens[i]),
      fence: (tokens, i) => this.code(tokens[i].content, tokens[i].info),
      code_block: (tokens, i) => this.code(tokens[i].content, ""),
      math_block: (tokens, i) => `<p>${this.math(tokens[i].content, true)}</p>`,
      inline: (tokens, i) => this.inline(tokens[i].children ?? [], false),
      plain: (tokens, i) => escape(tokens[i].content),
    };
  }

  blocks(tokens) {
    const parts = [];
    tokens.forEach((token, i) => {
      if (token.level >= MAX_NESTING - 1) throw new TooDeep();
      parts.push(SIMPLE[token.type] ?? this.handlers[token.type](tokens, i));
      if (token.level === 0 && token.nesting <= 0 && token.type !== "inline" && token.type !== "plain") {
        parts.push("\n");
      }
    });
    return parts.join("");
  }

  paragraphOpen(tokens, i) {
    if (tokens[i].hidden) return "";
    // The first paragraph gives its direction to the item or quotation around it.
    const first = i > 0 && ["list_item_open", "blockquote_open"].includes(tokens[i - 1].type);
    return first ? "<p>" : '<p dir="auto">';
  }

  headingOpen(token) {
    const level = Number(token.tag.slice(1));
    while (this.headings.length && this.headings.at(-1) >= level) this.headings.pop();
    this.headingTag = `h${Math.min(6, 3 + this.headings.length)}`;
    this.headings.push(level);
    return `<${this.headingTag} dir="auto">`;
  }

  orderedListOpen(token) {
    const start = token.attrGet("start");
    return start === null ? "<ol>" : `<ol start="${Number(start)}">`;
  }

  listItemOpen(tokens, i) {
    const inline = tokens[i + 2];
    if (inline && tokens[i + 1].type === "paragraph_open" && inline.type === "inline") {
      const first = inline.children?.[0];
      const found = first?.type === "text" ? TASK.exec(first.content) : null;
      if (found) {
        first.content = first.content.slice(found[0].length);
        first.meta = { task: found[1] !== " " };
        return '<li class="task" dir="auto">';
      }
    }
    return '<li dir="auto">';
  }

  tableOpen() {
    return `<div class="table-scroll" tabindex="0" role="group" aria-label="${escape(labels.table)}"><table>`;
  }

  cellOpen(tag, token) {
    const found = ALIGN.exec(token.attrGet("style") ?? "");
    return found ? `<${tag} class="align-${found[1]}" dir="auto">` : `<${tag} dir="auto">`;
  }

  code(content, info) {
    const word = info.split(" ")[0];
    const language = LANGUAGE.test(word) ? word.toLowerCase() : "text";
    return (
      `<div class="code" data-language="${language}" dir="ltr"><div class="code-head"><span>${language}</span>` +
      `</div><pre tabindex="0"><code class="language-${language}">${escape(content)}</code></pre></div>`
    );
  }

  math(content, display) {
    return `<span class="math"${display ? " data-display" : ""} dir="ltr">${escape(content)}</span>`;
  }

  inline(tokens, inLink) {
    const parts = [];
    let depth = 0;
    const closing = [];
    tokens.forEach((token, i) => {
      depth += token.nesting;
      if (depth > MAX_NESTING) throw new TooDeep();
      if (token.type === "link_open") {
        const [opening, end] = this.link(tokens, i);
        parts.push(opening);
        closing.push(end);
      } else if (token.type === "link_close") parts.push(closing.pop());
      else {
        if ((token.type === "softbreak" || token.type === "hardbreak") && parts.length) {
          while (parts.at(-1).endsWith(" ")) parts.push(parts.pop().slice(0, -1));
        }
        parts.push(this.leaf(token, inLink || closing.length > 0));
      }
    });
    return parts.join("");
  }

  leaf(token, inLink) {
    if (token.type in SIMPLE) return SIMPLE[token.type];
    if (token.type === "image") return this.image(token, inLink);
    if (token.type === "math_inline") return this.math(token.content, token.meta.display);
    const text = escape(inLink ? token.content.replace(REORDERING, "") : token.content);
    if (token.type === "code_inline") return `<code>${text}</code>`;
    if (token.meta && "task" in token.meta) {
      return `<span class="task-box">${token.meta.task ? "☑" : "☐"}</span> ${text}`;
    }
    return text;
  }

  link(tokens, i) {
    let end = i;
    while (tokens[end].type !== "link_close") end += 1;
    const target = destination(tokens[i].attrGet("href") ?? "");
    if (!target) return ['<span class="blocked-link">', "</span>"];
    const suffix = shows(textOf(tokens.slice(i + 1, end)), target) ? "" : ` ${host(target.shown)}`;
    return [`<a href="${escape(target.href)}" ${REL}>`, `${suffix}</a>`];
  }

  image(token, inLink) {
    const alt = strip(textOf(token.children ?? [])) || labels.image;
    let parts = `<span class="blocked-image-alt">${escape(alt)}</span>`;
    const target = destination(token.attrGet("src") ?? "");
    if (target && !target.isMail) {
      parts += ` ${host(target.shown)}`;
      if (!inLink) parts += ` <a href="${escape(target.href)}" ${REL}>${escape(labels.open)}</a>`;
    }
    return `<span class="blocked-image">${parts}</span>`;
  }
}

// -- The last word on HTML -------------------------------------------------------------------------------

// An explicit allow-list for DOMPurify. Twin of chat/markdown/safety.py. Our own output passes unchanged; whatever else
// reaches this point loses what is not listed here.

const OWN_CLASSES = new Set(
  ("code code-head table-scroll blocked-image blocked-image-alt blocked-link link-host punycode" +
    " math task task-box plain align-left align-center align-right").split(" "),
);
const LANGUAGE_CLASS = /^language-[a-z0-9_+#.-]{1,32}$/;
const SETTINGS = {
  ALLOWED_TAGS:
    "#text a blockquote br code div em h3 h4 h5 h6 hr li ol p pre s span strong table tbody td th thead tr ul".split(" "),
  ALLOWED_ATTR:
    "class dir href target rel data-language tabindex role aria-label start data-display".split(" "),
  ALLOWED_URI_REGEXP: /^(?:https?:\/\/|mailto:)/i,
  // Without this the pattern for addresses is applied to their values too.
  ADD_URI_SAFE_ATTR: "dir target rel tabindex role aria-label start data-display data-language".split(" "),
  ALLOW_ARIA_ATTR: false,
  ALLOW_DATA_ATTR: false,
};

// A sanitiser of our own, so that nobody else's hooks or settings change it.
const purifier = globalThis.DOMPurify(window);

purifier.addHook("uponSanitizeAttribute", (_node, data) => {
  // The other twin's sanitiser drops what is no address at all, such as an impossible host or port.
  if (data.attrName === "href" && !URL.canParse(data.attrValue)) data.keepAttr = false;
  if (data.attrName !== "class") return;
  const kept = data.attrValue.split(/\s+/).filter((word) => OWN_CLASSES.has(word) || LANGUAGE_CLASS.test(word));
  data.attrValue = kept.join(" ");
  if (!kept.length) data.keepAttr = false;
});

/** @returns {string} the HTML with only what is allow-listed */
export function sanitise(html) {
  return purifier.sanitize(html, SETTINGS);
}

/** @returns {DocumentFragment} the same as nodes; no string of HTML ever meets the page's own document */
export function sanitiseToFragment(html) {
  return purifier.sanitize(html, { ...SETTINGS, RETURN_DOM_FRAGMENT: true });
}

// -- Whole texts -----------------------------------------------------------------------------------------

const parser = makeParser();

/** Set the words that stand in the HTML itself: {open, image, table}, plain text. */
export function setLabels(words) {
  Object.assign(labels, words);
}

function unsafeHtml(text) {
  const whole = clean(text);
  if (whole.length > MAX_UNITS) return plain(whole);
  try {
    return renderTokens(parser.parse(whole, {})).html;
  } catch (error) {
    if (error instanceof TooDeep) return plain(whole);
    throw error;
  }
}

/** @returns {string} safe HTML */
export function render(text) {
  return sanitise(unsafeHtml(text));
}

/** Put the rendered text into an element, instead of what it holds. */
export function renderInto(element, text) {
  element.replaceChildren(sanitiseToFragment(unsafeHtml(text)));
}
