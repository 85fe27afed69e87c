/**
 * Server ACLs: which servers may take part in a room (event `m.room.server_acl`; server-server API, "Server Access
 * Control Lists"). They act on requests only; no authorisation rule knows them.
 *
 * - An operation of {@link aclProtectedOperations} is refused as a whole: 403 `M_FORBIDDEN`.
 * - `send` is not: each PDU of a room that denies the sending server gets an `error` of its own, and an `m.typing`,
 *   or in an `m.receipt` the receipts of such a room, are ignored.
 * - `event` is on no list of the spec, nor is `timestamp_to_event`: what they answer is for membership and history
 *   visibility to decide.
 *
 * The server that is judged is the one that authenticated the request, never one named in its body. What is sent to
 * others is not affected: a denied server that is still resident goes on receiving the room's events.
 */
import { parseServerName } from "../ids/server-name.js";
import { get, isArray } from "../json/value.js";
import type { JsonObject, JsonValue } from "../json/value.js";
import type { OperationName } from "../ports/operations.js";

/**
 * The operations that a room's ACL guards as a whole, each about the room that the request names. The spec's list
 * counts endpoints; an operation with two versions of its endpoint is one name.
 */
export const aclProtectedOperations: readonly OperationName[] = Object.freeze([
  "make_join",
  "make_leave",
  "send_join",
  "send_leave",
  "invite",
  "make_knock",
  "send_knock",
  "state",
  "state_ids",
  "backfill",
  "event_auth",
  "get_missing_events",
]);

/** A room's ACL, read. Read once for each state event, ask as often as requests come. */
export type ServerAcl =
  /** The room has no ACL event: every server is allowed. */
  | { readonly kind: "absent" }
  | {
      readonly kind: "present";
      readonly allowIpLiterals: boolean;
      readonly allow: ServerPatterns;
      readonly deny: ServerPatterns;
    };

/** Patterns against which a host is matched, folded to lower case. */
export interface ServerPatterns {
  /** Those without a wildcard: most of a long list. */
  readonly exact: ReadonlySet<string>;
  readonly globs: readonly ServerGlob[];
}

/** A pattern with wildcards, cut at its `*`s: without one `tail` is absent, and `head` is all of it. */
export interface ServerGlob {
  readonly head: string;
  /** What has to occur between, in this order and without overlap. */
  readonly middle: readonly string[];
  readonly tail?: string;
  /** The characters that it takes at least. */
  readonly minLength: number;
}

/** No host is longer (appendices, "Server Name"), so a pattern that asks for more matches none. */
const MAX_HOST = 255;

const ABSENT: ServerAcl = Object.freeze({ kind: "absent" });

/**
 * Reads the content of a room's `m.room.server_acl` event with an empty state key; `undefined` where the state has
 * none. Nothing is refused, because the event is in the state whatever it holds: a flag that is no boolean counts as
 * true, a list that is none as empty, and entries that are not strings are passed over. A redacted ACL, which has
 * lost its lists, therefore denies everyone.
 */
export function parseServerAcl(content: JsonObject | undefined): ServerAcl {
  if (content === undefined) return ABSENT;
  return Object.freeze({
    kind: "present",
    allowIpLiterals: get(content, "allow_ip_literals") !== false,
    allow: readPatterns(get(content, "allow")),
    deny: readPatterns(get(content, "deny")),
  });
}

/**
 * Whether a room's ACL lets a server take part, by the spec's order: no ACL allows; an IP literal is denied where
 * literals are; then `deny`, then `allow`, and what neither names is denied. The port does not count. Where there is
 * an ACL, a name that is no server name is denied.
 */
export function isServerAllowed(acl: ServerAcl, serverName: string): boolean {
  if (acl.kind === "absent") return true;
  const parsed = parseServerName(serverName, "historical");
  if (!parsed.ok) return false;
  if (parsed.value.kind !== "dns" && !acl.allowIpLiterals) return false;
  const host = foldAscii(parsed.value.host);
  return !isListed(acl.deny, host) && isListed(acl.allow, host);
}

function readPatterns(list: JsonValue | undefined): ServerPatterns {
  const exact = new Set<string>();
  const globs: ServerGlob[] = [];
  for (const entry of isArray(list) ? list : []) {
    if (typeof entry !== "string") continue;
    const pattern = foldAscii(entry);
    const glob = cut(pattern);
    if (glob.minLength > MAX_HOST) continue;
    if (glob.tail === undefined && !pattern.includes("?")) exact.add(pattern);
    else globs.push(glob);
  }
  return Object.freeze({ exact, globs: Object.freeze(globs) });
}

/** `*` and `?` are special, nothing else is (appendices, "Glob-style matching"). */
function cut(pattern: string): ServerGlob {
  const pieces = pattern.split("*");
  const minLength = pattern.length - (pieces.length - 1);
  const [head = "", ...rest] = pieces;
  const tail = rest.pop();
  if (tail === undefined) return Object.freeze({ head, middle: [], minLength });
  return Object.freeze({ head, middle: Object.freeze(rest.filter((piece) => piece !== "")), tail, minLength });
}

function isListed(patterns: ServerPatterns, host: string): boolean {
  return patterns.exact.has(host) || patterns.globs.some((glob) => matches(glob, host));
}

/**
 * The pieces between two `*`s are each taken where they occur first. That leaves most room for the next, so no
 * choice is ever taken back, and a pattern costs at most its length times the host's.
 */
function matches({ head, middle, tail, minLength }: ServerGlob, host: string): boolean {
  if (host.length < minLength || !fitsAt(head, host, 0)) return false;
  if (tail === undefined) return host.length === head.length;
  const end = host.length - tail.length;
  if (!fitsAt(tail, host, end)) return false;
  let at = head.length;
  for (const piece of middle) {
    const found = find(piece, host, at);
    if (found === -1 || found + piece.length > end) return false;
    at = found + piece.length;
  }
  return true;
}

/** Where a piece first stands at an index or after it, or -1. */
function find(piece: string, host: string, from: number): number {
  if (!piece.includes("?")) return host.indexOf(piece, from);
  for (let at = from; at + piece.length <= host.length; at++) {
    if (fitsAt(piece, host, at)) return at;
  }
  return -1;
}

const ANY_CHARACTER = 0x3f;

/** Whether a piece without `*` stands at an index. */
function fitsAt(piece: string, host: string, at: number): boolean {
  for (let i = 0; i < piece.length; i++) {
    const wanted = piece.charCodeAt(i);
    if (wanted !== ANY_CHARACTER && wanted !== host.charCodeAt(at + i)) return false;
  }
  return true;
}

/** Hosts are ASCII. Folding more would have a pattern with the Kelvin sign match a `k`. */
function foldAscii(text: string): string {
  return text.replace(/[A-Z]+/g, (letters) => letters.toLowerCase());
}
