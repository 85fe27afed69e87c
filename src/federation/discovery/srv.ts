/** The order in which SRV records are tried (RFC 2782). */
import { parseServerName } from "../../ids/server-name.js";
import type { Random } from "../../ports/random.js";
import { isUsablePort } from "./endpoint.js";

/** An SRV record, as a resolver answers it. */
export interface SrvRecord {
  readonly priority: number;
  readonly weight: number;
  readonly port: number;
  /** A host name, with or without the dot at its end. A single dot says that there is no such service. */
  readonly target: string;
}

/** Where an SRV record leads. */
export interface SrvTarget {
  readonly host: string;
  readonly port: number;
}

/** How many records of one name are used; the rest would only be tried after so many failures. */
export const MAX_SRV_TARGETS = 16;

/**
 * The targets of SRV records, in the order in which to try them: by priority, and within one by lot, so that over
 * many servers each record gets its weight's share. Records that lead nowhere (`.`, a port of 0, an address in
 * place of a name) are left out; where none is left, the service is not available.
 */
export function orderSrvRecords(records: readonly SrvRecord[], random: Random): readonly SrvTarget[] {
  const usable = records.filter(isUsable).sort((a, b) => a.priority - b.priority || zeroFirst(a) - zeroFirst(b));
  const chosen: SrvTarget[] = [];
  for (let start = 0; start < usable.length && chosen.length < MAX_SRV_TARGETS;) {
    const priority = usable[start]?.priority;
    const rest = usable.slice(start).findIndex((record) => record.priority !== priority);
    const end = rest === -1 ? usable.length : start + rest;
    const group = usable.slice(start, end);
    while (group.length > 0 && chosen.length < MAX_SRV_TARGETS) {
      for (const { target, port } of group.splice(draw(group, random), 1)) {
        chosen.push(Object.freeze({ host: withoutFinalDot(target), port }));
      }
    }
    start = end;
  }
  return Object.freeze(chosen);
}

/** Records without a weight come first, so that the lot 0 finds them: a small chance, not none. */
function zeroFirst({ weight }: SrvRecord): number {
  return weight > 0 ? 1 : 0;
}

/** The lot is from 0 to the sum of the weights; it falls to the first record at which the running sum reaches it. */
function draw(group: readonly SrvRecord[], random: Random): number {
  const total = group.reduce((sum, { weight }) => sum + weight, 0);
  const lot = randomUpTo(total, random);
  let sum = 0;
  return Math.max(
    group.findIndex(({ weight }) => (sum += weight) >= lot),
    0,
  );
}

/** 48 bits against a sum of some 20: what the remainder favours cannot be measured. */
function randomUpTo(max: number, random: Random): number {
  return random.bytes(6).reduce((number, byte) => number * 256 + byte, 0) % (max + 1);
}

function isUsable({ priority, weight, port, target }: SrvRecord): boolean {
  if (!isUint16(priority) || !isUint16(weight) || !isUsablePort(port)) return false;
  const parsed = parseServerName(withoutFinalDot(target));
  return parsed.ok && parsed.value.kind === "dns" && parsed.value.port === undefined;
}

function isUint16(value: number): boolean {
  return Number.isInteger(value) && value >= 0 && value <= 65_535;
}

function withoutFinalDot(name: string): string {
  return name.endsWith(".") ? name.slice(0, -1) : name;
}
