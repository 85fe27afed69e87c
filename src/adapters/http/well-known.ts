/** Documents of delegation: fetched with redirects, within limits, and remembered. */
import type { FetchWellKnownStep } from "../../federation/discovery/machine.js";
import {
  readWellKnown,
  WELL_KNOWN_ERROR_LIFETIME,
  WELL_KNOWN_MAX_LIFETIME,
  wellKnownLifetime,
} from "../../federation/discovery/well-known.js";
import type { HeaderFields, WellKnown, WellKnownResponse } from "../../federation/discovery/well-known.js";
import type { Clock } from "../../ports/clock.js";
import { readBody } from "./read-body.js";
import { Remembered, withTime } from "./shared.js";

/** An answer with its headers, for those that count. */
export interface Page {
  readonly status: number;
  readonly headers: HeaderFields;
  readonly body: AsyncIterable<Uint8Array>;
}

/** One GET without redirects; `undefined` where nobody answered, or where the address is not to be asked. */
export type Get = (url: URL, signal: AbortSignal) => Promise<Page | undefined>;

interface Entry {
  readonly wellKnown: WellKnown;
  readonly until: number;
  /** When a valid one was fetched. */
  readonly fetched?: number;
  /** How often in a row nobody has answered. */
  readonly failures: number;
}

const REDIRECTS: ReadonlySet<number> = new Set([301, 302, 303, 307, 308]);
/** Longer than a header may say, so that one that says nothing useful does not cost a request each time. */
const SHORTEST = 5 * 60 * 1000;
/** Nobody answered: that may be over soon. It doubles up to {@link WELL_KNOWN_ERROR_LIFETIME}. */
const UNANSWERED_FIRST = 60 * 1000;

/** What is known of hosts' documents. */
export class WellKnowns {
  readonly #clock: Clock;
  readonly #time: number;
  readonly #entries: Remembered<Entry>;

  /** @param options `time`: milliseconds for one document, redirects included. `hosts`: how many are remembered. */
  constructor(clock: Clock, options: { readonly time: number; readonly hosts: number }) {
    this.#clock = clock;
    this.#time = options.time;
    this.#entries = new Remembered(options.hosts);
  }

  async of(step: FetchWellKnownStep, get: Get, signal: AbortSignal): Promise<WellKnown> {
    const known = this.#entries.get(step.host);
    const now = this.#clock.now();
    // A clock that was set back must not make a document last.
    if (known !== undefined && now < known.until && known.until - now <= WELL_KNOWN_MAX_LIFETIME)
      return known.wellKnown;
    const fetched = await withTime(this.#clock, this.#time, signal, (inner) => fetchPage(step, get, inner));
    // What was cut off says nothing about the host.
    if (signal.aborted) return readWellKnown(undefined);
    const entry = entryOf(known, fetched, this.#clock.now());
    this.#entries.put(step.host, entry);
    return entry.wellKnown;
  }
}

interface Fetched {
  readonly response: WellKnownResponse;
  readonly headers: HeaderFields;
}

function entryOf(known: Entry | undefined, fetched: Fetched | undefined, now: number): Entry {
  const wellKnown = readWellKnown(fetched?.response);
  if (fetched !== undefined && wellKnown.valid) {
    const lifetime = Math.max(wellKnownLifetime(fetched.headers, now), SHORTEST);
    return { wellKnown, until: now + lifetime, fetched: now, failures: 0 };
  }
  const isAnswer = fetched !== undefined && fetched.response.status < 500;
  if (isAnswer) return { wellKnown, until: now + WELL_KNOWN_ERROR_LIFETIME, failures: 0 };
  const failures = (known?.failures ?? 0) + 1;
  const until = now + Math.min(UNANSWERED_FIRST * 2 ** Math.min(failures - 1, 30), WELL_KNOWN_ERROR_LIFETIME);
  // A host whose web server is down for an hour has not moved: what it said counts on, for as long as any may.
  const { fetched: at } = known ?? {};
  if (known?.wellKnown.valid === true && at !== undefined && now - at <= WELL_KNOWN_MAX_LIFETIME) {
    return { wellKnown: known.wellKnown, until, fetched: at, failures };
  }
  return { wellKnown, until, failures };
}

/** @returns the last answer after redirects; `undefined` where there was none, or too many redirects. */
async function fetchPage(step: FetchWellKnownStep, get: Get, signal: AbortSignal): Promise<Fetched | undefined> {
  let url = new URL(step.url);
  for (let redirects = 0; redirects <= step.maxRedirects; redirects++) {
    if (url.protocol !== "https:" || url.username !== "" || url.password !== "") return undefined;
    const page = await get(url, signal);
    if (page === undefined) return undefined;
    const { status, headers } = page;
    let body: Uint8Array | undefined;
    try {
      body = await readBody(page.body, step.maxBytes);
    } catch {
      return undefined;
    }
    const location = REDIRECTS.has(status)
      ? headers.find(([name]) => name.toLowerCase() === "location")?.[1]
      : undefined;
    // One byte more than may be read makes it invalid, whatever the rest was.
    if (location === undefined) {
      return { response: { status, body: body ?? new Uint8Array(step.maxBytes + 1) }, headers };
    }
    const next = URL.canParse(location, url.href) ? new URL(location, url.href) : undefined;
    if (next === undefined) return undefined;
    url = next;
  }
  return undefined;
}
