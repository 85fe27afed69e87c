/**
 * `/.well-known/matrix/server`: to whom a host name delegates, and how long that may be remembered (server-server
 * API, "Resolving server names", step 3).
 */
import type { ServerName } from "../../ids/brands.js";
import { parseServerName } from "../../ids/server-name.js";
import { parseLax } from "../../json/parse.js";
import { utf8Decode } from "../../json/utf8.js";
import { get, isObject } from "../../json/value.js";
import { unusable } from "./endpoint.js";
import { parseHttpDate } from "./http-date.js";

/** What the document says. Either may be remembered. */
export type WellKnown =
  | { readonly valid: true; readonly server: ServerName }
  /** Discovery goes on as if nothing delegated. */
  | { readonly valid: false; readonly reason: string };

/** The final answer, after redirects. */
export interface WellKnownResponse {
  readonly status: number;
  readonly body: Uint8Array;
}

/** Header fields by name, in whatever case. A field may occur more than once. */
export type HeaderFields = readonly (readonly [name: string, value: string])[];

/** The document holds one server name; a host may stop reading here. */
export const MAX_WELL_KNOWN_BYTES: number = 50 * 1024;
/** How many redirects to follow: what makes a loop end. */
export const MAX_WELL_KNOWN_REDIRECTS = 10;

const HOUR = 60 * 60 * 1000;
/** How long a document without cache headers is remembered. */
export const WELL_KNOWN_DEFAULT_LIFETIME: number = 24 * HOUR;
/** The longest that one is remembered, whatever its headers say. */
export const WELL_KNOWN_MAX_LIFETIME: number = 48 * HOUR;
/** How long it is remembered that there was no valid document. */
export const WELL_KNOWN_ERROR_LIFETIME: number = HOUR;

const MAX_DEPTH = 100;
/** Longer ones are no cache headers; what the first so many characters say stands. */
const MAX_CACHE_CONTROL = 4096;

/** Reads the answer to a request for the document; `undefined` where there was none. */
export function readWellKnown(response: WellKnownResponse | undefined): WellKnown {
  if (response === undefined) return invalid("it could not be fetched");
  if (response.status !== 200) return invalid(`it was answered with status ${response.status}`);
  if (response.body.length > MAX_WELL_KNOWN_BYTES) return invalid(`it has over ${MAX_WELL_KNOWN_BYTES} bytes`);
  const text = utf8Decode(response.body);
  if (text === undefined) return invalid("it is not UTF-8");
  const document = parseLax(text, { maxDepth: MAX_DEPTH });
  if (!document.ok) return invalid("it is not JSON");
  const server = isObject(document.value) ? get(document.value, "m.server") : undefined;
  if (typeof server !== "string") return invalid("it has no `m.server`");
  const parsed = parseServerName(server);
  if (!parsed.ok) return invalid("its `m.server` is no server name");
  const problem = unusable(parsed.value);
  if (problem !== undefined) return invalid(`its \`m.server\` cannot be used: ${problem}`);
  return Object.freeze({ valid: true, server: parsed.value.name });
}

/**
 * For how many milliseconds a valid document may be remembered: as its headers say (RFC 9111), 24 hours where they
 * say nothing, 48 at most. What they say wrongly counts as out of date (sections 4.2.1 and 5.3). An answer that is
 * not valid is remembered for {@link WELL_KNOWN_ERROR_LIFETIME}; hosts back off further when failures repeat.
 *
 * It may be 0. A host that does not care to fetch for each request remembers a little longer by its own choice.
 */
export function wellKnownLifetime(headers: HeaderFields, now: number): number {
  const stated = statedLifetime(headers, now);
  if (stated === undefined) return WELL_KNOWN_DEFAULT_LIFETIME;
  const age = readSeconds(fieldsOf(headers, "age")[0] ?? "0") ?? 0;
  return Math.min(Math.max(stated - age, 0), WELL_KNOWN_MAX_LIFETIME);
}

function statedLifetime(headers: HeaderFields, now: number): number | undefined {
  const directives = readDirectives(fieldsOf(headers, "cache-control").join(","));
  if (directives.has("no-store") || directives.has("no-cache")) return 0;
  const maxAge = directives.get("max-age");
  if (maxAge !== undefined) return readSeconds(maxAge) ?? 0;
  const expires = fieldsOf(headers, "expires")[0];
  if (expires === undefined) return undefined;
  const date = fieldsOf(headers, "date")[0] ?? "";
  const end = parseHttpDate(expires, now);
  return end === undefined ? 0 : end - (parseHttpDate(date, now) ?? now);
}

function fieldsOf(headers: HeaderFields, wanted: string): readonly string[] {
  return headers.filter(([name]) => name.toLowerCase() === wanted).map(([, value]) => value.trim());
}

const DIRECTIVE = /([!#$%&'*+.^_`|~0-9A-Za-z-]+)(?:[ \t]*=[ \t]*(?:"((?:[^"\\]|\\[^])*)"|([^ \t,"]*)))?/g;

/** Cache-Control's directives by their names in lower case; of one that occurs twice the first. */
function readDirectives(text: string): ReadonlyMap<string, string> {
  const directives = new Map<string, string>();
  for (const [, name = "", quoted, token] of text.slice(0, MAX_CACHE_CONTROL).matchAll(DIRECTIVE)) {
    const key = name.toLowerCase();
    if (!directives.has(key)) directives.set(key, quoted ?? token ?? "");
  }
  return directives;
}

/** In milliseconds. RFC 9111 section 1.2.2: what is larger than 2^31 seconds counts as that. */
function readSeconds(text: string): number | undefined {
  return /^\d+$/.test(text) ? Math.min(Number(text), 2 ** 31) * 1000 : undefined;
}

function invalid(reason: string): WellKnown {
  return Object.freeze({ valid: false, reason });
}
