// Markdown -> safe HTML in the browser: the twin of chat/markdown, for answers while they are written.
// Must not fetch anything an answer names. For every text the HTML equals the server's, byte for byte.

import { MAX_UNITS, TooDeep, labels, plain, renderTokens } from "stkweb/markdown-output";
import { clean, makeParser } from "stkweb/markdown-rules";
import { sanitise, sanitiseToFragment } from "stkweb/markdown-safety";

export { StreamRenderer } from "stkweb/markdown-stream";

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

/**
 * Colour code, set formulas and add Copy buttons, lazily, in what is finished inside `element`. Call it again for
 * later blocks; what is done stays as it is. See markdown-enhance.js for the options.
 */
export async function enhance(element, options = {}) {
  const { enhanceBlocks } = await import("stkweb/markdown-enhance");
  enhanceBlocks(element, options);
}
