/** Server names (spec: appendices, "Server Name"). */

import { ok, refuse } from "../errors.js";
import type { Result } from "../errors.js";
import type { ServerName } from "./brands.js";

const SECTION = "Server Name";

/**
 * How closely an identifier is judged.
 *
 * - `strict`: what the spec allows to be made today.
 * - `historical`: what servers must go on accepting inside events, because it is there already.
 */
export type IdentifierMode = "historical" | "strict";

/** A server name in its parts. */
export interface ServerNameParts {
  /** The name as it was given; server names compare case-sensitively. */
  readonly name: ServerName;
  /** The host as written: a DNS name, a dotted quad, or an IPv6 address in its brackets. */
  readonly host: string;
  /** The explicit port, 0 to 99999: the grammar bounds its digits, not its value. */
  readonly port?: number;
  readonly kind: "dns" | "ipv4" | "ipv6";
}

const DNS = /^[0-9A-Za-z.-]{1,255}$/;
const DOTTED_QUAD = /^\d{1,3}\.\d{1,3}\.\d{1,3}\.\d{1,3}$/;
const PORT = /^\d{1,5}$/;
const SIGNED_PORT = /^\+?\d+$/;

/**
 * Parses a server name.
 *
 * A dotted quad with an octet above 255, such as `256.1.1.1`, is refused by default: the spec wants
 * octets of 0 to 255, and RFC 1123 section 2.1, on which the grammar is based, rules out host names of the form
 * `#.#.#.#`. Inside events it must pass nevertheless (`historical`, as a DNS name): the letters of
 * the grammar's `dns-name` cover it, Synapse and ruma both accept it, and a room would split over a
 * power level given to `@user:256.1.1.1` if one server alone refused that.
 *
 * @returns the parts, or a `bad_identifier` refusal.
 */
export function parseServerName(value: string, mode: IdentifierMode = "strict"): Result<ServerNameParts> {
  const end = endOfHost(value);
  const host = value.slice(0, end);
  const kind = hostKind(host, mode);
  if (kind === undefined) return refuse("bad_identifier", "the host of the server name is invalid", { rule: SECTION });
  // Checked in full by now: this is where a string becomes a server name.
  const name = value as ServerName;
  if (end === value.length) return ok({ name, host, kind });
  const digits = value.slice(end + 1);
  if (value.charCodeAt(end) !== 0x3a || !isPort(digits, mode)) {
    return refuse("bad_identifier", "the port of the server name is not one to five digits", { rule: SECTION });
  }
  return ok({ name, host, port: Number(digits), kind });
}

/**
 * Where Python's and Rust's readers of integers agree against the grammar, ids in events must pass: both take
 * `+1` and leading zeros for a port of at most 65535, and one entry in the power levels would split the room.
 */
function isPort(digits: string, mode: IdentifierMode): boolean {
  return PORT.test(digits) || (mode === "historical" && SIGNED_PORT.test(digits) && Number(digits) <= 65_535);
}

function endOfHost(value: string): number {
  if (value.startsWith("[")) return value.indexOf("]") + 1 || value.length;
  const colon = value.indexOf(":");
  return colon === -1 ? value.length : colon;
}

function hostKind(host: string, mode: IdentifierMode): ServerNameParts["kind"] | undefined {
  if (host.startsWith("[")) return host.endsWith("]") && isIpv6(host.slice(1, -1)) ? "ipv6" : undefined;
  if (!DNS.test(host)) return undefined;
  if (!DOTTED_QUAD.test(host)) return "dns";
  if (host.split(".").every((octet) => Number(octet) <= 255)) return "ipv4";
  return mode === "historical" ? "dns" : undefined;
}

const IPV6_CHARS = /^[0-9A-Fa-f:.]{2,45}$/;
const GROUP = /^[0-9A-Fa-f]{1,4}$/;

/** RFC 3513 section 2.2: eight groups, `::` once for at least one group of zeros, the last two as a dotted quad. */
function isIpv6(address: string): boolean {
  if (!IPV6_CHARS.test(address)) return false;
  const gap = address.indexOf("::");
  if (gap === -1) return groupCount(address, true) === 8;
  const before = address.slice(0, gap);
  const after = address.slice(gap + 2);
  const count = (before === "" ? 0 : groupCount(before, false)) + (after === "" ? 0 : groupCount(after, true));
  return count <= 7;
}

/** How many 16-bit groups `text` writes, or NaN where it is malformed (NaN is neither 8 nor at most 7). */
function groupCount(text: string, last: boolean): number {
  const groups = text.split(":");
  const final = groups.at(-1) ?? "";
  const quad = last && final.includes(".");
  const hex = quad ? groups.slice(0, -1) : groups;
  if (!hex.every((group) => GROUP.test(group))) return Number.NaN;
  if (!quad) return hex.length;
  return isEmbeddedQuad(final) ? hex.length + 2 : Number.NaN;
}

/** Octets with a leading zero are refused here: address parsers disagree on whether they are octal. */
function isEmbeddedQuad(text: string): boolean {
  const octets = text.split(".");
  return octets.length === 4 && octets.every((octet) => /^(?:0|[1-9]\d{0,2})$/.test(octet) && Number(octet) <= 255);
}
