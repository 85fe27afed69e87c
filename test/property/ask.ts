/** One operation of a server, asked for by whoever asks anything. */
import { expect } from "vitest";
import { errorsOf } from "../../src/federation/index.js";
import { checkLax } from "../../src/json/index.js";
import type { JsonObject } from "../../src/json/index.js";
import type { OperationName, OperationRequest } from "../../src/ports/index.js";
import { rowsOf } from "../support/rows.js";
import type { World } from "../support/servers.js";

export interface Asking {
  /** Asks once: what comes back is plain data or one of the operation's errors. */
  readonly ask: (request: unknown) => Promise<void>;
  /** Nothing was changed by any. Answers how many were answered, and how many refused. */
  readonly end: () => Promise<{ readonly answered: number; readonly refused: number }>;
}

/** Begins with `right`, which has to be answered. */
export async function asking(world: World, server: string, name: OperationName, right: JsonObject): Promise<Asking> {
  const receiver = world.receiver(server);
  const before = await rowsOf(world.node(server).storage);
  let [answered, refused] = [0, 0];
  const ask = async (request: unknown): Promise<void> => {
    const result = await receiver("b.example", name, request as OperationRequest<OperationName>);
    if (result.ok) {
      answered++;
      expect(checkLax(result.value).ok).toBe(true);
    } else {
      refused++;
      expect(errorsOf(name)).toContain(result.error.code);
      expect(result.error.code).not.toBe("internal");
    }
  };
  await ask(right);
  expect(answered).toBe(1);
  return {
    ask,
    end: async () => {
      expect(await rowsOf(world.node(server).storage)).toEqual(before);
      expect(world.faults()).toEqual([]);
      return { answered, refused };
    },
  };
}
