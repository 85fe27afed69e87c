/**
 * One Synapse and one `roomdag serve` for all tests of federation: they are started before the first and removed after
 * the last. `INTEROP_KEEP=1` in the environment keeps their folders, with all that they logged.
 */
import process from "node:process";
import type { TestProject } from "vitest/node";
import { createRoomdag, removeRoomdag, stopRoomdag } from "./roomdag.js";
import type { RoomdagAddress } from "./roomdag.js";
import { createSynapse, removeSynapse, stopSynapse } from "./synapse.js";
import type { SynapseAddress } from "./synapse.js";

declare module "vitest" {
  interface ProvidedContext {
    synapse: SynapseAddress;
    roomdag: RoomdagAddress;
  }
}

export default async function setup(project: TestProject): Promise<() => Promise<void>> {
  const [synapse, roomdag] = await Promise.all([createSynapse(), createRoomdag()]);
  project.provide("synapse", synapse);
  project.provide("roomdag", roomdag);
  return async () => {
    await Promise.all([stopSynapse(synapse), stopRoomdag(roomdag)]);
    if (process.env["INTEROP_KEEP"] === "1") {
      console.log(`kept: ${synapse.folder} ${roomdag.folder}`);
      return;
    }
    removeSynapse(synapse);
    removeRoomdag(roomdag);
  };
}
