/** Messages to devices that were taken, in memory. */
import { UsageError } from "../../errors.js";
import { domainOf } from "../../ids/grammar.js";
import type { ToDeviceStore } from "./handler.js";

export interface ToDeviceMemory {
  /** Messages of one server that are remembered, the last ones. */
  readonly perServer?: number;
  /** Messages that are remembered in all: beyond, those of the server that was silent for longest go. */
  readonly total?: number;
}

/**
 * Remembers messages while the process lives: enough for what is sent twice because an answer was lost. No server can
 * push out what others sent but by being many.
 */
export function createToDeviceStore({ perServer = 2_000, total = 100_000 }: ToDeviceMemory = {}): ToDeviceStore {
  if (!(perServer >= 1 && total >= perServer)) {
    throw new UsageError("a store remembers one message at least, and no fewer in all than of one server");
  }
  const servers = new Map<string, Set<string>>();
  let count = 0;
  const nameOf = (sender: string, messageId: string): string => JSON.stringify([sender, messageId]);

  function forget(server: string, ids: Set<string>): void {
    count -= ids.size;
    servers.delete(server);
  }

  return Object.freeze({
    has: (sender: string, messageId: string): boolean =>
      servers.get(domainOf(sender) ?? "")?.has(nameOf(sender, messageId)) === true,
    add: (sender: string, messageId: string): void => {
      const server = domainOf(sender) ?? "";
      const ids = servers.get(server) ?? new Set<string>();
      forget(server, ids);
      ids.add(nameOf(sender, messageId));
      for (const oldest of ids) {
        if (ids.size <= perServer) break;
        ids.delete(oldest);
      }
      servers.set(server, ids);
      count += ids.size;
      for (const [silent, theirs] of servers) {
        if (count <= total) break;
        forget(silent, theirs);
      }
    },
  });
}
