// The only script of a shared page, and only of a live one: puts what the server rendered in its place.

/** Milliseconds until a stream that was refused is asked for again. */
const AGAIN = 5000;

const box = document.getElementById("messages");
const state = document.getElementById("state");
const policy = globalThis.trustedTypes?.createPolicy("stkweb", { createHTML: html => html });
let source;

function watch() {
  source = new EventSource(box.dataset.live);
  source.addEventListener("show", show);
  source.addEventListener("end", end);
  source.addEventListener("error", lost);
}

function node(html) {
  const template = document.createElement("template");
  // From our own server, through its allow-list of elements; no script could run under the page's policy.
  template.innerHTML = policy ? policy.createHTML(html) : html;
  return template.content.firstElementChild;
}

function say(text) {
  if (state.textContent !== text) state.textContent = text;
}

function show(event) {
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
}

function end() {
  source.close();
  box.replaceChildren();
  for (const left of document.querySelectorAll(".continue, .files, .dot")) left.remove();
  say(box.dataset.over);
}

async function lost() {
  if (source.readyState !== EventSource.CLOSED) return say(box.dataset.lost);
  // Refused. A proxy whose server restarts, or a server that is full, does that too: neither is an end.
  if (await status(box.dataset.live) !== 404) {
    say(box.dataset.lost);
    setTimeout(watch, AGAIN);
  } else if (await status(".") === 404) {
    end();
  } else {
    say(box.dataset.reload);  // the link is there: only this page is too old
  }
}

async function status(address) {
  return (await fetch(address, { method: "HEAD" }).catch(() => null))?.status;
}

watch();
