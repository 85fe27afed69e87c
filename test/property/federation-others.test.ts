/** Every operation is asked for by whoever asks anything: those of which no other file here does that. */
import { readFileSync } from "node:fs";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { createMemoryKeys } from "../../src/adapters/memory/index.js";
import { createEdus, operationTable } from "../../src/federation/index.js";
import type { ServerOptions } from "../../src/federation/index.js";
import type { JsonObject } from "../../src/json/index.js";
import type { OperationName } from "../../src/ports/index.js";
import { testKeyOf } from "../../src/testing/keys.js";
import { policyContent, policySeedOf } from "../support/policy-server.js";
import { done, messageOf, nameOf, signedBy, userOf, World } from "../support/servers.js";
import { asking } from "./ask.js";
import { runs, seed } from "./laws-support.js";
import { near } from "./near.js";

/** Where each operation is given what is wrong in every way, and changes nothing. */
const properties: Readonly<Record<OperationName, string>> = {
  invite: "property/federation-membership",
  make_join: "property/federation-membership",
  send_join: "property/federation-membership",
  make_knock: "property/federation-membership",
  send_knock: "property/federation-membership",
  make_leave: "property/federation-membership",
  send_leave: "property/federation-membership",
  exchange_third_party_invite: "property/federation-membership",
  send: "unit/federation-retrieval",
  event: "unit/federation-retrieval",
  state: "unit/federation-retrieval",
  state_ids: "unit/federation-retrieval",
  event_auth: "unit/federation-retrieval",
  backfill: "unit/federation-retrieval",
  get_missing_events: "unit/federation-retrieval",
  timestamp_to_event: "unit/federation-retrieval",
  server_keys: "property/federation-keys",
  query_keys: "property/federation-keys",
  query_directory: "property/federation-queries",
  query_profile: "property/federation-queries",
  public_rooms: "property/federation-queries",
  hierarchy: "property/federation-queries",
  openid_userinfo: "property/federation-queries",
  version: "property/federation-queries",
  user_devices: "property/federation-others",
  policy_sign: "property/federation-others",
};

it("each operation has a property of what may be wrong with it", () => {
  expect(Object.keys(properties).sort()).toEqual(Object.keys(operationTable).sort());
  for (const [name, file] of Object.entries(properties)) {
    const text = readFileSync(new URL(`../${file}.test.ts`, import.meta.url), "utf8");
    expect(text, `${file} tries ${name}`).toContain(`"${name}"`);
    expect(text).toMatch(/fc\.(assert|property|asyncProperty)/);
  }
});

interface Scene {
  readonly world: World;
  /** A request that is answered. */
  readonly request: JsonObject;
}

const P = nameOf("p");

/** A server with devices of users that is a policy server too, and one that shares a room with it. */
async function scene(version: string, name: "user_devices" | "policy_sign"): Promise<Scene> {
  const world = new World();
  const keys = createMemoryKeys(testKeyOf(P), world.directory, { policySeed: policySeedOf(P) });
  const devicesOf = (userId: string) =>
    userId === userOf("p") ? { userId, streamId: 5, devices: [{ deviceId: "X", keys: { k: "v" } }] } : undefined;
  const edus = createEdus({ handler: { devicesOf } });
  const policy = { checkRecommendation: () => undefined };
  await world.add("p", { policy, ports: (given): ServerOptions => ({ ...given, keys, edus }) });
  await world.add("b");
  const roomId = await world.shared(version, "b", "p");
  if (name === "user_devices") return { world, request: { userId: userOf("p") } };
  const content = policyContent(P);
  await done(world.server("b").setState({ roomId, userId: userOf("b"), type: "m.room.policy", content }));
  await world.deliver();
  const room = await world.room("b", roomId);
  const event = await done(room.template({ sender: userOf("b"), ...messageOf("hello", false) }));
  return { world, request: { event: signedBy(version, "b", event) } };
}

describe.each(["1", "12"])("in room version %s", (version) => {
  it.each(["user_devices", "policy_sign"] as const)(
    "whatever is asked by %s is answered, and changes nothing",
    async (name) => {
      const { world, request } = await scene(version, name);
      const { ask, end } = await asking(world, "p", name, request);
      await fc.assert(fc.asyncProperty(near(request), ask), { numRuns: runs(300), seed });
      const { refused } = await end();
      expect(refused).toBeGreaterThan(50);
    },
  );
});
