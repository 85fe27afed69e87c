/**
 * Which addresses a server may connect to. Names come from the network, and so do the addresses behind them: without
 * a check, whoever names a server makes this one call machines of its own network (server-side request forgery).
 */
import { UsageError } from "../../errors.js";

/** An address in bytes: 4 or 16. */
type Bytes = readonly number[];

interface Network {
  readonly bytes: Bytes;
  readonly bits: number;
}

/** `true` for any address, or the networks that may be connected to although they are not public. */
export type AllowedAddresses = boolean | readonly string[];

/**
 * A check for addresses: why one may not be connected to, or `undefined`. It is made on what is connected to, never on
 * a name. Public addresses are those that the registries of special-purpose addresses (RFC 6890 and its updates) do
 * not name.
 * @param allowed such as `["10.1.0.0/16", "fd00::/8"]`.
 * @throws UsageError for what is no network.
 */
export function addressCheck(allowed: AllowedAddresses = false): (address: string) => string | undefined {
  const networks = typeof allowed === "boolean" ? [] : allowed.map(requireNetwork);
  return (address) => {
    const bytes = parseAddress(address);
    if (bytes === undefined) return `${address} is no address`;
    if (allowed === true || isPublic(bytes)) return undefined;
    if (networks.some((network) => isWithin(bytes, network))) return undefined;
    return `${address} is no public address`;
  };
}

/** Whether text is an IPv4 or IPv6 address, without brackets and zone. */
export function isIpAddress(text: string): boolean {
  return parseAddress(text) !== undefined;
}

const OCTET = /^(?:0|[1-9]\d{0,2})$/;
const GROUP = /^[0-9A-Fa-f]{1,4}$/;

/** This network, private, shared (CGNAT), loopback, link-local, special, examples and tests, multicast, reserved. */
const notPublic4 = [
  "0.0.0.0/8",
  "10.0.0.0/8",
  "100.64.0.0/10",
  "127.0.0.0/8",
  "169.254.0.0/16",
  "172.16.0.0/12",
  "192.0.0.0/24",
  "192.0.2.0/24",
  "192.88.99.0/24",
  "192.168.0.0/16",
  "198.18.0.0/15",
  "198.51.100.0/24",
  "203.0.113.0/24",
  "224.0.0.0/4",
  "240.0.0.0/4",
];
/** What is given out to the public. Mapped IPv4, loopback, unique local, link-local and multicast are outside of it. */
const given6 = "2000::/3";
/** Special, Teredo among them; for examples; 6to4, which reaches any IPv4 address by way of a relay. */
const notPublic6 = ["2001::/23", "2001:db8::/32", "2002::/16", "3fff::/20"];
/** NAT64 (RFC 6052): where there is only IPv6, it is how servers with IPv4 are reached. The address is in it. */
const nat64 = "64:ff9b::/96";

const networks4: readonly Network[] = notPublic4.map(requireNetwork);
const networks6: readonly Network[] = notPublic6.map(requireNetwork);
const global6 = requireNetwork(given6);
const translated = requireNetwork(nat64);

function isPublic(bytes: Bytes): boolean {
  if (bytes.length === 4) return !networks4.some((network) => isWithin(bytes, network));
  if (isWithin(bytes, translated)) return isPublic(bytes.slice(12));
  return isWithin(bytes, global6) && !networks6.some((network) => isWithin(bytes, network));
}

function isWithin(address: Bytes, { bytes, bits }: Network): boolean {
  if (address.length !== bytes.length) return false;
  return bytes.every((byte, at) => {
    const relevant = Math.min(Math.max(bits - at * 8, 0), 8);
    const mask = 0xff & (0xff << (8 - relevant));
    return ((address[at] ?? 0) & mask) === (byte & mask);
  });
}

function requireNetwork(text: string): Network {
  const [address = "", length, ...rest] = text.split("/");
  const bytes = parseAddress(address);
  const bits = length === undefined ? (bytes?.length ?? 0) * 8 : /^\d{1,3}$/.test(length) ? Number(length) : Number.NaN;
  if (bytes === undefined || rest.length > 0 || !(bits <= bytes.length * 8)) {
    throw new UsageError(`${text} is no network: write it as in 10.1.0.0/16`);
  }
  return { bytes, bits };
}

function parseAddress(text: string): Bytes | undefined {
  return text.includes(":") ? parse6(text) : parse4(text);
}

/** An octet with a leading zero is none: readers do not agree on whether it is octal. */
function parse4(text: string): Bytes | undefined {
  const octets = text.split(".");
  if (octets.length !== 4 || !octets.every((octet) => OCTET.test(octet) && Number(octet) <= 255)) return undefined;
  return octets.map(Number);
}

/** RFC 4291 section 2.2. */
function parse6(text: string): Bytes | undefined {
  const halves = text.split("::");
  if (halves.length > 2) return undefined;
  const [before = "", after] = halves;
  const left = before === "" && after !== undefined ? [] : parseGroups(before, after === undefined);
  const right = after === undefined || after === "" ? [] : parseGroups(after, true);
  if (left === undefined || right === undefined) return undefined;
  const gap = 16 - left.length - right.length;
  if (after === undefined ? gap !== 0 : gap < 2) return undefined;
  return [...left, ...Array.from({ length: gap }, () => 0), ...right];
}

/** @param last whether the text ends here, where an IPv4 address may stand for two groups. */
function parseGroups(text: string, last: boolean): Bytes | undefined {
  const bytes: number[] = [];
  const groups = text.split(":");
  for (const [index, group] of groups.entries()) {
    const quad = last && index === groups.length - 1 && group.includes(".") ? parse4(group) : undefined;
    if (quad !== undefined) bytes.push(...quad);
    else if (GROUP.test(group)) bytes.push(Number.parseInt(group, 16) >> 8, Number.parseInt(group, 16) & 0xff);
    else return undefined;
  }
  return bytes;
}
