// @ts-check
/** Servers in memory, for the examples in docs: one network, one clock that is moved by hand, keys that all know. */
import { setImmediate } from "node:timers";
import {
  createKeyDirectory,
  createManualClock,
  createMemoryKeys,
  createMemoryNetwork,
  createMemoryStorage,
  createSeededRandom,
} from "roomdag/adapters/memory";
import { createServer } from "roomdag/federation";

/** @import { Server } from "roomdag/federation" */
/** @import { HostOptions } from "roomdag/engine" */
/** @import { Result } from "roomdag" */

export const network = createMemoryNetwork();
const clock = createManualClock(Date.UTC(2025, 0, 1));
const directory = createKeyDirectory();
/** @type {Server[]} */
const servers = [];

/**
 * A server that answers and delivers.
 * @param {string} server its name
 * @param {Partial<HostOptions>} ports in place of those in memory
 */
export async function openServer(server, ports = {}) {
  const random = createSeededRandom(server);
  const keys = createMemoryKeys({ server, keyId: "ed25519:1", seed: random.bytes(32) }, directory);
  const transport = network.transport(server);
  const made = createServer({ server, storage: createMemoryStorage(), transport, keys, clock, random, ...ports });
  await made.start();
  servers.push(made);
  return made;
}

/** Until all has been delivered that can be. */
export async function rest() {
  const quiet = () => new Promise((resolve) => setImmediate(resolve));
  await quiet();
  for (let pauses = 0; pauses < 20 && servers.some(({ isDelivering }) => isDelivering); pauses++) {
    clock.advance(clock.untilNext() ?? 0);
    await quiet();
  }
  clock.advance(1000);
}

/**
 * What was done, or an error with the reason why not.
 * @template T
 * @param {Result<T>} result
 */
export function done(result) {
  if (!result.ok) throw new Error(`${result.error.code}: ${result.error.reason}`);
  return result.value;
}
