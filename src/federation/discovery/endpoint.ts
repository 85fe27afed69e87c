/** What a connection can be made to. */
import { parseServerName } from "../../ids/server-name.js";
import type { ServerNameParts } from "../../ids/server-name.js";

/** The port of a server that names none. */
export const DEFAULT_PORT = 8448;
const MAX_PORT = 65_535;

/** Whether a connection can be made to a port: the grammar of server names bounds its digits only. */
export function isUsablePort(port: number): boolean {
  return Number.isInteger(port) && port > 0 && port <= MAX_PORT;
}

/**
 * Why no connection can be made to a server name, or `undefined` where one can. An octet with a leading zero is
 * refused, because address parsers disagree on whether it is octal: the host would connect elsewhere than meant.
 */
export function unusable({ host, kind, port }: ServerNameParts): string | undefined {
  if (port !== undefined && !isUsablePort(port)) return `there is no port ${port}`;
  return kind === "ipv4" && LEADING_ZERO.test(host) ? "an octet of the address has a leading zero" : undefined;
}

/** Whether text is an IPv4 or IPv6 address, without brackets, zone or port. */
export function isAddress(text: string): boolean {
  const parsed = parseServerName(text.includes(":") ? `[${text}]` : text);
  return parsed.ok && parsed.value.kind !== "dns" && unusable(parsed.value) === undefined;
}

const LEADING_ZERO = /(?:^|\.)0\d/;
