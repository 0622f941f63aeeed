// The last word on HTML: an explicit allow-list for DOMPurify. Twin of chat/markdown/safety.py.
// Our own output passes unchanged; whatever else reaches this point loses what is not listed here.

import DOMPurify from "dompurify";

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
const purifier = DOMPurify(window);
let ownClassesOnly = true;

purifier.addHook("uponSanitizeAttribute", (_node, data) => {
  // The other twin's sanitiser drops what is no address at all, such as an impossible host or port.
  if (data.attrName === "href" && !URL.canParse(data.attrValue)) data.keepAttr = false;
  if (data.attrName !== "class" || !ownClassesOnly) return;
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

/** highlight.js's coloured code as nodes: spans with classes, nothing else. */
export function sanitiseCode(html) {
  ownClassesOnly = false; // synchronous, so nobody else sees it
  const fragment = purifier.sanitize(html, {
    ALLOWED_TAGS: ["#text", "span"],
    ALLOWED_ATTR: ["class"],
    ALLOW_ARIA_ATTR: false,
    ALLOW_DATA_ATTR: false,
    RETURN_DOM_FRAGMENT: true,
  });
  ownClassesOnly = true;
  return fragment;
}

/** KaTeX's MathML as nodes; no links, no styles. */
export function sanitiseMath(html) {
  return purifier.sanitize(html, {
    USE_PROFILES: { mathMl: true },
    ADD_TAGS: ["semantics"],
    FORBID_TAGS: ["annotation"],
    FORBID_CONTENTS: ["annotation"],
    FORBID_ATTR: ["style", "href", "xlink:href", "id", "class"],
    RETURN_DOM_FRAGMENT: true,
  });
}
