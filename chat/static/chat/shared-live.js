// The only script of a shared page, and only of a live one: puts what the server rendered in its place.

const box = document.getElementById("messages");
const state = document.getElementById("state");
const policy = globalThis.trustedTypes?.createPolicy("stkweb", { createHTML: html => html });
const source = new EventSource(box.dataset.live);

function node(html) {
  const template = document.createElement("template");
  // From our own server, through its allow-list of elements; no script could run under the page's policy.
  template.innerHTML = policy ? policy.createHTML(html) : html;
  return template.content.firstElementChild;
}

function say(text) {
  if (state.textContent !== text) state.textContent = text;
}

source.addEventListener("show", event => {
  const { order, items } = JSON.parse(event.data);
  const atEnd = innerHeight + scrollY >= document.documentElement.scrollHeight - 80;
  const wanted = new Set(order.map(key => `x-${key}`));
  for (const old of [...box.children]) if (!wanted.has(old.id)) old.remove();
  let before = null;
  for (const key of order) {
    const old = document.getElementById(`x-${key}`);
    const current = items[key] === undefined ? old : node(items[key]);
    if (!current) continue;
    if (old && old !== current) {
      if (old.querySelector("details")?.open) current.querySelector("details")?.setAttribute("open", "");
      old.replaceWith(current);
    }
    const place = before ? before.nextElementSibling : box.firstElementChild;
    if (place !== current) box.insertBefore(current, place);
    before = current;
  }
  say(box.dataset.on);
  if (atEnd) scrollTo({ top: document.documentElement.scrollHeight });
});

source.addEventListener("end", () => {
  source.close();
  box.replaceChildren();
  document.querySelector(".continue")?.remove();
  document.querySelector(".dot")?.remove();
  say(box.dataset.over);
});

source.addEventListener("error", () => {
  if (source.readyState !== EventSource.CLOSED) return say(box.dataset.lost);
  // Refused, not lost: the link is over, or this person may not read it any more.
  say(box.dataset.over);
});
