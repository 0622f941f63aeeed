// Make a part of the page equal to freshly made nodes while keeping every node that is already right, so that a
// selection or a scroll position inside it survives. Must not know Markdown.

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
