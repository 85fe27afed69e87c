/** Requests about membership by anybody who sends anything: they are answered with an error and change nothing. */
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { encodeUnpadded, publicKeyFromSeed } from "../../src/crypto/index.js";
import { signJson } from "../../src/event/index.js";
import { isObject, setOwn } from "../../src/json/value.js";
import type { JsonObject, JsonValue } from "../../src/json/index.js";
import type { OperationName, OperationRequest, OperationResult } from "../../src/ports/index.js";
import { done, nameOf, signedBy, userOf, worldOf } from "../support/servers.js";
import type { World } from "../support/servers.js";
import { rowsOf } from "../support/rows.js";
import { runs, seed } from "./laws-support.js";

const [alice, bob] = [userOf("a"), userOf("b")];
const identity = new Uint8Array(32).fill(7);

const names = [
  "make_join",
  "make_knock",
  "make_leave",
  "send_join",
  "send_knock",
  "send_leave",
  "invite",
  "exchange_third_party_invite",
] as const;
type Name = (typeof names)[number];

/** A request that would be answered, and who asks whom. */
interface Scene {
  readonly world: World;
  readonly from: string;
  readonly to: string;
  readonly roomId: string;
  readonly request: JsonObject;
  /** Signs an event again after it was changed. */
  readonly signer: string;
}

async function sceneOf(version: string, name: Name): Promise<Scene> {
  const world = await worldOf("a", "b", "c");
  const roomId = await world.shared(version, "a");
  const setState = (type: string, content: JsonObject, stateKey: string = ""): Promise<unknown> =>
    done(world.server("a").setState({ roomId, userId: alice, type, stateKey, content }));
  if (name.endsWith("knock")) await setState("m.room.join_rules", { join_rule: "knock" });
  if (name.endsWith("leave")) await done(world.server("a").invite({ roomId, userId: alice, target: bob }));
  if (name.startsWith("make")) {
    return { world, roomId, from: "b", to: "a", request: { roomId, userId: bob, versions: [version] }, signer: "b" };
  }
  const room = await world.room("a", roomId);
  if (name === "exchange_third_party_invite") {
    const key = encodeUnpadded(publicKeyFromSeed(identity));
    await setState("m.room.third_party_invite", { display_name: "b", public_key: key }, "token");
    const by = { server: "identity.example", keyId: "ed25519:0", seed: identity };
    const signed = signJson({ mxid: bob, token: "token" }, by);
    const content = { membership: "invite", third_party_invite: { display_name: "b", signed } };
    const event = { type: "m.room.member", room_id: roomId, sender: alice, state_key: bob, content };
    return { world, roomId, from: "b", to: "a", request: { roomId, event }, signer: "b" };
  }
  const membership = name === "invite" ? "invite" : name.slice("send_".length);
  const [sender, signer, to] = name === "invite" ? ([alice, "a", "b"] as const) : ([bob, "b", "a"] as const);
  const draft = { type: "m.room.member", stateKey: bob, sender, content: { membership } };
  const made = await done(room.template(draft));
  // Where ids are in the events, the server of the id has to sign too.
  const own = "event_id" in made ? { event_id: `$event:${nameOf(signer)}` } : {};
  const event = signedBy(version, signer, { ...made, ...own });
  const create = await room.event(room.state("m.room.create")?.eventId ?? "");
  const invite = { roomVersion: version, inviteRoomState: [create?.original ?? {}] };
  return { world, roomId, from: signer, to, request: { roomId, event, ...(name === "invite" ? invite : {}) }, signer };
}

function ask(
  scene: Scene,
  name: Name,
  request: unknown,
  from: string = scene.from,
): Promise<OperationResult<OperationName>> {
  return scene.world.receiver(scene.to)(nameOf(from), name, request as OperationRequest<Name>);
}

async function rows(scene: Scene): Promise<unknown> {
  return { a: await rowsOf(scene.world.node("a").storage), b: await rowsOf(scene.world.node("b").storage) };
}

/** Asks, and expects an error that says something, from a server that is as it was. */
async function expectRefused(scene: Scene, name: Name, request: unknown, from?: string): Promise<undefined> {
  const before = await rows(scene);
  const answer = await ask(scene, name, request, from);
  expect(answer.ok ? answer.value : undefined).toBeUndefined();
  expect(answer.ok || answer.error.code).not.toBe("internal");
  expect(await rows(scene)).toEqual(before);
  expect(scene.world.faults()).toEqual([]);
  return undefined;
}

// ---- what may be wrong ----------------------------------------------------------------------------------

const odd: fc.Arbitrary<unknown> = fc.oneof(
  fc.jsonValue({ maxDepth: 3 }),
  fc.constantFrom<unknown>(undefined, Number.NaN, 1.5, 2 ** 53, 2n ** 80n, () => 1, Symbol("s"), new Date(0)),
  fc.constantFrom<unknown>("\ud800", "__proto__", "", "@", bob, alice, userOf("c"), "!room:a.example", "I.x"),
  fc.constantFrom<unknown>("x".repeat(300), [[]], [null], { __proto__: null }, { membership: "ban" }),
);

/** What might stand in an event of a kind: such changes pass every check of form. */
const plausible: fc.Arbitrary<unknown> = fc.oneof(
  fc.nat(99),
  fc.constantFrom<unknown>([], ["$other"], [["$other", { sha256: "AAAA" }]], "$other:b.example", { sha256: "AAAA" }),
  fc.constantFrom<unknown>(
    {},
    { "b.example": { "ed25519:test": "AAAA" } },
    { "a.example": { "ed25519:test": "AAAA" } },
  ),
);

/** A copy with another value under a key, as an own property whatever the key is; `undefined` takes it away. */
function put(value: unknown, [key = "", ...rest]: readonly string[], what: unknown): unknown {
  const copy: Record<string, JsonValue> = {};
  const entries = typeof value === "object" && value !== null ? Object.entries(value) : [];
  for (const [name, old] of entries) if (name !== key) setOwn(copy, name, old as JsonValue);
  const old: unknown = entries.find(([name]) => name === key)?.[1];
  const now = rest.length === 0 ? what : put(old, rest, what);
  if (now !== undefined) setOwn(copy, key, now as JsonValue);
  return copy;
}

function at(value: unknown, path: readonly string[]): unknown {
  return path.reduce<unknown>(
    (one, key) =>
      typeof one === "object" && one !== null ? Object.entries(one).find(([name]) => name === key)?.[1] : undefined,
    value,
  );
}

/** The change of `request` at `path`, where it is a change. */
function changed(request: JsonObject, path: readonly string[], what: unknown): unknown {
  const old = at(request, path);
  fc.pre(!Object.is(old, what) && !isSame(old, what));
  return put(request, path, what);
}

function isSame(one: unknown, other: unknown): boolean {
  try {
    return JSON.stringify(one) === JSON.stringify(other);
  } catch {
    return false;
  }
}

/** The event of a request, hashed and signed anew where it can be. */
function resigned(version: string, scene: Scene, request: unknown): unknown {
  const event = at(request, ["event"]);
  if (!isObject(event as JsonValue)) return request;
  try {
    return put(
      request,
      ["event"],
      signedBy(version, scene.signer, put(event, ["signatures"], undefined) as JsonObject),
    );
  } catch {
    return request;
  }
}

/** Each case decides nothing for the next: a scene that something was accepted in is made anew. */
function property<T>(
  version: string,
  name: Name,
  arbitrary: fc.Arbitrary<T>,
  body: (scene: Scene, value: T) => Promise<"used" | undefined>,
): Promise<void> {
  let scene: Promise<Scene> | undefined;
  return fc.assert(
    fc.asyncProperty(arbitrary, async (value) => {
      scene ??= sceneOf(version, name);
      if ((await body(await scene, value)) === "used") scene = undefined;
    }),
    { numRuns: runs(40), seed },
  );
}

const essential = ["type", "room_id", "sender", "state_key", "content"].map((key) => ["event", key]);
const cases = ["1", "10", "12"].flatMap((version) =>
  names.filter((name) => version !== "1" || !name.endsWith("knock")).map((name) => [name, version] as const),
);

describe.each(cases)("%s in a room of version %s", (name, version) => {
  const isMake = name.startsWith("make");

  it("is answered when it is right", async () => {
    const scene = await sceneOf(version, name);
    expect(await ask(scene, name, scene.request)).toMatchObject({ ok: true });
  });

  it("from another server, of another room, or with another value at the top changes nothing", () => {
    const keys = isMake
      ? ["roomId", "userId", "versions"]
      : ["roomId", "event", ...(name === "invite" ? ["roomVersion"] : [])];
    const wanted = name === "make_leave" ? ["roomId", "userId"] : keys;
    return property(version, name, fc.tuple(fc.constantFrom(...wanted), odd, fc.boolean()), (scene, value) => {
      const [key, what, isOrigin] = value;
      // Who joins and says nothing knows version 1.
      fc.pre(!(name === "make_join" && key === "versions" && what === undefined && version === "1"));
      if (isOrigin) return expectRefused(scene, name, scene.request, "c");
      return expectRefused(scene, name, changed(scene.request, [key], what));
    });
  });

  it("that is nothing of the kind changes nothing", () =>
    property(version, name, odd, (scene, what) => expectRefused(scene, name, what)));

  if (isMake) return;

  it("with any field of its event changed and not signed again changes nothing", () =>
    property(version, name, fc.tuple(fc.nat(20), fc.oneof(odd, plausible)), (scene, [place, what]) => {
      const keys = Object.keys(at(scene.request, ["event"]) as JsonObject);
      return expectRefused(scene, name, changed(scene.request, ["event", keys[place % keys.length] ?? ""], what));
    }));

  it("of another type, room, sender, user, content or membership changes nothing, however well it is signed", () =>
    property(
      version,
      name,
      fc.tuple(fc.constantFrom(...essential, ["event", "content", "membership"]), odd),
      (scene, value) => {
        const [path, what] = value;
        return expectRefused(scene, name, resigned(version, scene, changed(scene.request, path, what)));
      },
    ));

  it("malformed at any depth is refused and changes nothing, or is about nobody else", () => {
    const way = fc.array(fc.nat(12), { minLength: 1, maxLength: 5 });
    return property(
      version,
      name,
      fc.tuple(way, fc.oneof(odd, plausible), fc.boolean()),
      async (scene, [steps, what, isSigned]) => {
        const path: string[] = [];
        for (const step of steps) {
          const keys = Object.keys(at(scene.request, path) ?? {});
          if (keys.length === 0) break;
          path.push(keys[step % keys.length] ?? "");
        }
        const request = changed(scene.request, path, what);
        const before = await rows(scene);
        const members = await othersOf(scene);
        const answer = await ask(scene, name, isSigned ? resigned(version, scene, request) : request);
        await scene.world.settle();
        expect(scene.world.faults()).toEqual([]);
        expect(await othersOf(scene)).toEqual(members);
        if (answer.ok) return "used";
        expect(answer.error.code).not.toBe("internal");
        expect(await rows(scene)).toEqual(before);
        return undefined;
      },
    );
  });
});

/** The room's state on the server that is asked, but for the membership that it is asked about. */
async function othersOf({ world, roomId }: Scene): Promise<readonly string[]> {
  const room = await world.room("a", roomId);
  return room.current
    .events()
    .filter(({ type, stateKey }) => type !== "m.room.member" || stateKey !== bob)
    .map(({ eventId }) => eventId);
}
