// @ts-check
/**
 * Everything that leaves the page: requests with CSRF and a deadline, and the socket that watches.
 * No DOM beyond cookies; what a failure means to a person is decided by who called.
 */

/** Seconds as milliseconds; the numbers of the protocol. */
const PING_EVERY = 20_000;
const PONG_WITHIN = 10_000;
const FIRST_DELAY = 500;
const LONGEST_DELAY = 30_000;
const REQUEST_TIMEOUT = 30_000;

/** Why a request did not do what was asked. `code` "network" and "signed_out" are the page's own. */
export class Refused extends Error {
  /** @param {string} code @param {number} status @param {any} body */
  constructor(code, status = 0, body = {}) {
    super(body.message ?? code);
    this.code = code;
    this.status = status;
    this.kept = body.kept ?? "";
    this.next = body.next ?? "";
    this.retryAfter = Number(body.retry_after ?? 0) || 0;
    /** The soft budget that one may go over, if it is confirmed. @type {string} */
    this.budget = body.budget ?? "";
    /** Where the next slice of a file begins, as the server knows it. @type {number|undefined} */
    this.offset = body.offset;
  }

  /** True where the same request may go out again unchanged: it may never have arrived, or the server was not well. */
  get passing() {
    return this.code === "network" || this.status >= 500;
  }
}

/** The token that a request which changes something has to carry. */
function csrf() {
  const cookie = document.cookie.match(/(?:^|;\s*)(?:__Host-|__Secure-)?\w*csrf(?:token)?=([^;]+)/);
  const field = /** @type {HTMLInputElement|null} */ (document.querySelector("[name=csrfmiddlewaretoken]"));
  return cookie ? decodeURIComponent(cookie[1]) : (field?.value ?? "");
}

/**
 * @param {string} url
 * @param {{method?: string, json?: any, form?: Record<string, string>, key?: string, keepalive?: boolean}} [options]
 * @returns {Promise<Response>} as it came; a redirect is not followed (`type` "opaqueredirect")
 */
async function send(url, options = {}) {
  const headers = new Headers({ Accept: "application/json" });
  const body = options.form ? new URLSearchParams(options.form) : options.json === undefined ? undefined : JSON.stringify(options.json);
  const method = options.method ?? (body === undefined ? "GET" : "POST");
  if (options.json !== undefined) headers.set("Content-Type", "application/json");
  if (method !== "GET") headers.set("X-CSRFToken", csrf());
  if (options.key) headers.set("Idempotency-Key", options.key);
  try {
    return await fetch(url, {
      method, headers, body, redirect: "manual", credentials: "same-origin",
      keepalive: options.keepalive ?? false, signal: options.keepalive ? undefined : AbortSignal.timeout(REQUEST_TIMEOUT),
    });
  } catch {
    throw new Refused("network");
  }
}

/** A request that answers JSON. Throws `Refused`. @param {string} url @param {Parameters<typeof send>[1]} [options] */
export async function request(url, options) {
  const response = await send(url, options);
  if (response.type === "opaqueredirect") throw new Refused("signed_out", 401);
  return reading(response.status, await response.text(), Number(response.headers.get("Retry-After")));
}

/** What the server answered. Throws `Refused` where it is a refusal. @returns {any} */
function reading(status, text, wait) {
  if (status === 401) throw new Refused("signed_out", 401);
  const ok = status >= 200 && status < 300;
  /** @type {any} */
  let body = {};
  try {
    body = text ? JSON.parse(text) : {};
  } catch {
    if (ok) throw new Refused("unreadable", 200);
  }
  if (ok) return body;
  const error = body.error ?? {};
  throw new Refused(error.code ?? `http_${status}`, status, { ...error, retry_after: error.retry_after ?? wait });
}

/**
 * Sends bytes and tells how far they are, which fetch cannot. Throws `Refused`; "network" where nothing moves.
 * @param {string} url @param {ArrayBuffer} bytes
 * @param {{headers: Record<string, string>, progress: (sent: number) => void, signal: AbortSignal}} how
 * @returns {Promise<any>}
 */
export function put(url, bytes, { headers, progress, signal }) {
  return new Promise((resolve, reject) => {
    const xhr = new XMLHttpRequest();
    const cut = () => reject(new Refused("network"));
    let still = 0;
    const moving = () => (clearTimeout(still), (still = setTimeout(() => xhr.abort(), REQUEST_TIMEOUT)));
    xhr.open("PUT", url);
    for (const [name, value] of Object.entries({ Accept: "application/json", "X-CSRFToken": csrf(), ...headers })) xhr.setRequestHeader(name, value);
    xhr.upload.onprogress = (event) => (moving(), progress(event.loaded));
    xhr.onerror = xhr.onabort = cut;
    xhr.onloadend = () => clearTimeout(still);
    xhr.onload = () => {
      try {
        resolve(reading(xhr.status, xhr.responseText, Number(xhr.getResponseHeader("Retry-After"))));
      } catch (error) {
        reject(error);
      }
    };
    signal.addEventListener("abort", () => xhr.abort(), { once: true });
    moving();
    xhr.send(bytes);
  });
}

/** Confirms that one goes over a soft budget, until it begins anew. Throws `Refused`. @param {string} budget */
export const goOver = (budget) => request("/usage/go-over/", { json: { budget } });

/** Sign in where we are. @returns {Promise<"in"|"wrong"|"throttled">} throws `Refused` when nobody answers */
export async function signIn(url, username, password) {
  const response = await send(url, { form: { username, password, csrfmiddlewaretoken: csrf() } });
  if (response.ok || response.type === "opaqueredirect") return "in";
  return response.status === 401 ? "wrong" : "throttled";
}

/** An idempotency key; `randomUUID` is missing on plain http to another host. */
export function newKey() {
  return crypto.randomUUID?.() ?? Array.from(crypto.getRandomValues(new Uint8Array(16)), (b) => b.toString(16).padStart(2, "0")).join("");
}

/** Full jitter: anything up to twice as much each time. @param {number} attempt from 0 @param {() => number} random */
export function backoff(attempt, random = Math.random) {
  return random() * Math.min(LONGEST_DELAY, FIRST_DELAY * 2 ** Math.min(attempt, 16));
}

/**
 * What to say about a connection that has been down for so long.
 * @param {number|null} downFor milliseconds; null while it is up @param {boolean} online
 * @returns {"fine"|"offline"|"reconnecting"|"retry"}
 */
export function phase(downFor, online) {
  if (!online) return "offline";
  if (downFor === null || downFor < 2_000) return "fine";
  return downFor < 10_000 ? "reconnecting" : "retry";
}

/**
 * The socket: connects, says what to watch, notices silence, and comes back by itself.
 * Events: "frame" (detail: the frame), "up", "down", "unheard" (closed before a word was said, as
 * where nobody is signed in any more), "out" (signed out for sure).
 */
export class Socket extends EventTarget {
  #ws = null;
  #attempt = 0;
  #retry = 0;
  #ping = 0;
  #deadline = 0;
  #closed = false;
  #heard = false;

  /**
   * @param {string} url
   * @param {{make?: (url: string) => WebSocket, timers?: {setTimeout: Function, clearTimeout: Function}, random?: () => number, hidden?: () => boolean, now?: () => number}} [world]
   */
  constructor(url, world = {}) {
    super();
    this.url = url;
    this.make = world.make ?? ((address) => new WebSocket(address));
    this.timers = world.timers ?? { setTimeout: setTimeout.bind(globalThis), clearTimeout: clearTimeout.bind(globalThis) };
    this.random = world.random ?? Math.random;
    this.hidden = world.hidden ?? (() => document.hidden);
    this.now = world.now ?? (() => performance.now());
    /** @type {number|null} */
    this.downSince = this.now();
  }

  get up() {
    return this.downSince === null;
  }

  /** Connect now, whatever was planned. A connection that is up or being made stays. */
  connect() {
    this.#closed = false;
    this.timers.clearTimeout(this.#retry);
    this.#retry = 0;
    if (this.#ws) return;
    const ws = this.make(this.url);
    this.#ws = ws;
    this.#heard = false;
    ws.onmessage = (message) => this.#frame(ws, JSON.parse(message.data));
    ws.onclose = (event) => this.#lost(ws, event.code);
    this.#arm(PONG_WITHIN);
  }

  /** A connection as whoever is signed in now: the one there is belongs to a session that is over. */
  renew() {
    this.close();
    this.connect();
  }

  /** @param {object} frame @returns {boolean} whether it could be sent */
  send(frame) {
    if (!this.up || this.#ws?.readyState !== 1) return false;
    this.#ws.send(JSON.stringify(frame));
    return true;
  }

  /** Let go for good (the page is leaving, or nobody is signed in). */
  close() {
    this.#closed = true;
    this.timers.clearTimeout(this.#retry);
    const ws = this.#ws;
    if (ws) this.#lost(ws, 1000);
  }

  #frame(ws, frame) {
    if (ws !== this.#ws) return;
    this.#quiet();
    this.#heard = true;
    if (frame.type === "hello") {
      this.#attempt = 0;
      this.downSince = null;
      this.dispatchEvent(new Event("up"));
    }
    if (frame.type !== "pong") this.dispatchEvent(new CustomEvent("frame", { detail: frame }));
  }

  /** Something was heard: the next ping is due a while from now. */
  #quiet() {
    this.timers.clearTimeout(this.#deadline);
    this.timers.clearTimeout(this.#ping);
    this.#ping = this.timers.setTimeout(() => {
      if (this.#ws?.readyState === 1) this.#ws.send('{"type":"ping"}');
      this.#arm(PONG_WITHIN);
    }, PING_EVERY);
  }

  #arm(milliseconds) {
    this.timers.clearTimeout(this.#deadline);
    const ws = this.#ws;
    this.#deadline = this.timers.setTimeout(() => this.#lost(ws, 4000), milliseconds);
  }

  #lost(ws, code) {
    if (ws !== this.#ws) return;
    this.#ws = null;
    ws.onmessage = ws.onclose = null;
    if (ws.readyState < 2) ws.close();
    this.timers.clearTimeout(this.#ping);
    this.timers.clearTimeout(this.#deadline);
    this.downSince ??= this.now();
    this.dispatchEvent(new Event("down"));
    if (!this.#heard && !this.#closed) this.dispatchEvent(new Event("unheard"));
    if (code === 4401) {
      this.#closed = true;
      this.dispatchEvent(new Event("out"));
    }
    if (this.#closed || this.hidden()) return;
    this.#retry = this.timers.setTimeout(() => this.connect(), backoff(this.#attempt++, this.random));
  }
}
