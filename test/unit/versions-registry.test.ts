import { describe, expect, it } from "vitest";
import { UsageError } from "../../src/errors.js";
import { freezeDeep } from "../../src/rules/define.js";
import * as versions from "../../src/versions/index.js";
import {
  createRegistry,
  defineRoomVersion,
  deriveRules,
  roomVersions,
  type RoomVersion,
} from "../../src/versions/index.js";
import { resolveV1, resolveV2, resolveV21 } from "../../src/stateres/index.js";
import { ALL, codeOf, rulesOf, valueOf } from "../support/event.js";

/** Every leaf of the rules by its path; arrays are leaves. */
function leaves(value: unknown, path = ""): Map<string, unknown> {
  if (typeof value !== "object" || value === null || Array.isArray(value)) return new Map([[path, value]]);
  return new Map(
    Object.entries(value).flatMap(([key, part]) => [...leaves(part, path === "" ? key : `${path}/${key}`)]),
  );
}

/** Paths at which two rules differ, without the numbering, which has a test of its own. */
function differences(left: string, right: string): string[] {
  const [a, b] = [leaves(rulesOf(left)), leaves(rulesOf(right))];
  const paths = [...new Set([...a.keys(), ...b.keys()])].filter((path) => !path.startsWith("auth/numbering/"));
  return paths.filter((path) => JSON.stringify(a.get(path)) !== JSON.stringify(b.get(path))).sort();
}

const renumbered = (left: string, right: string): boolean =>
  JSON.stringify(rulesOf(left).auth.numbering) !== JSON.stringify(rulesOf(right).auth.numbering);

/** What each page of the spec changes against the page that it builds on. */
const pages: readonly (readonly [
  version: string,
  base: string,
  paths: readonly string[],
  renumbered: boolean,
  cap: string,
])[] = [
  ["2", "1", ["stateResolution"], false, "versions-1-2"],
  [
    "3",
    "2",
    ["auth/redactions", "format/eventIds", "format/references", "signing/eventIdServer"],
    true,
    "versions-3-5",
  ],
  ["4", "3", ["format/eventIds"], false, "versions-3-5"],
  ["5", "4", ["signing/keyValidity"], false, "versions-3-5"],
  [
    "6",
    "5",
    [
      "auth/aliases",
      "auth/notifications",
      "auth/powerLevelValues",
      "format/numbers",
      "redaction/content/m.room.aliases",
    ],
    true,
    "versions-6-9",
  ],
  ["7", "6", ["auth/knock"], true, "versions-6-9"],
  [
    "8",
    "7",
    ["auth/restricted", "redaction/content/m.room.join_rules", "signing/authorisingServer"],
    true,
    "versions-6-9",
  ],
  ["9", "8", ["redaction/content/m.room.member"], false, "versions-6-9"],
  ["10", "9", ["auth/knockRestricted", "auth/powerLevelValues"], true, "version-10"],
  [
    "11",
    "10",
    [
      "auth/creator",
      "format/fieldLimit",
      "format/redacts",
      "redaction/content/m.room.create",
      "redaction/content/m.room.member",
      "redaction/content/m.room.power_levels",
      "redaction/content/m.room.redaction",
      "redaction/topLevel",
    ],
    true,
    "version-11",
  ],
  [
    "12",
    "11",
    ["auth/createEvent", "auth/creatorPower", "format/roomIds", "stateResolution", "tombstoneAboveStateDefault"],
    true,
    "version-12",
  ],
  ["I.1", "10", ["content"], false, "version-i1"],
];

describe("each version changes what its page says", () => {
  for (const [id, base, paths, numbering, cap] of pages) {
    it(`${id} against ${base} [cap:${cap} v:${id}]`, () => {
      expect(differences(base, id)).toEqual([...paths, "id"].sort());
      expect(renumbered(base, id)).toBe(numbering);
      expect(rulesOf(id).id).toBe(id);
    });
  }

  it("version 1 is where all start [cap:versions-1-2 v:1]", () => {
    const {
      redaction: _r,
      auth: { numbering: _n, ...auth },
      ...rules
    } = rulesOf("1");
    expect({ ...rules, auth }).toEqual({
      id: "1",
      format: {
        eventIds: "in-pdu",
        references: "pairs",
        roomIds: "domain",
        numbers: "lax",
        fieldLimit: "code-points-dropped-bytes-rejected",
        redacts: "top-level",
      },
      signing: { eventIdServer: true, authorisingServer: false, keyValidity: "ignored" },
      auth: {
        creator: "content",
        creatorPower: "default",
        createEvent: "cited",
        aliases: true,
        redactions: true,
        notifications: false,
        powerLevelValues: "integer-string-float",
        knock: false,
        restricted: false,
        knockRestricted: false,
      },
      stateResolution: "v1",
      content: "plain",
      tombstoneAboveStateDefault: false,
    });
  });

  it("arrives at version 12 [cap:version-12 v:12]", () => {
    const {
      redaction: _r,
      auth: { numbering: _n, ...auth },
      ...rules
    } = rulesOf("12");
    expect({ ...rules, auth }).toEqual({
      id: "12",
      format: {
        eventIds: "hash-url-safe",
        references: "ids",
        roomIds: "create-hash",
        numbers: "strict",
        fieldLimit: "bytes-dropped",
        redacts: "content",
      },
      signing: { eventIdServer: false, authorisingServer: true, keyValidity: "enforced" },
      auth: {
        creator: "sender",
        creatorPower: "infinite",
        createEvent: "implied",
        aliases: false,
        redactions: false,
        notifications: true,
        powerLevelValues: "integer",
        knock: true,
        restricted: true,
        knockRestricted: true,
      },
      stateResolution: "v2.1",
      content: "plain",
      tombstoneAboveStateDefault: true,
    });
  });

  it.each([
    ["1", resolveV1],
    ...ALL.slice(1, 11).map((id) => [id, resolveV2] as const),
    ["12", resolveV21],
    ["I.1", resolveV2],
  ] as const)("version %s resolves by its own algorithm", (id, resolver) => {
    expect(valueOf(roomVersions.get(id)).resolve).toBe(resolver);
  });

  it("tells resolvers by what the rules name", () => {
    const names = new Map([
      [resolveV1, "v1"],
      [resolveV2, "v2"],
      [resolveV21, "v2.1"],
    ]);
    for (const id of ALL) {
      const version = valueOf(roomVersions.get(id));
      expect(names.get(version.resolve)).toBe(version.rules.stateResolution);
    }
  });
});

describe("frozen through and through [cap:registry]", () => {
  const thawed = (value: unknown, path: string): string[] => {
    if (typeof value !== "object" || value === null) return [];
    const below = Object.entries(value).flatMap(([key, part]) => thawed(part, `${path}/${key}`));
    return Object.isFrozen(value) ? below : [path, ...below];
  };
  it.each(ALL)("version %s", (id) => expect(thawed(valueOf(roomVersions.get(id)), id)).toEqual([]));
  it("derived rules, and the registry", () => {
    const derived = deriveRules(rulesOf("11"), "org.example.1", { format: { redacts: "top-level" } });
    expect(thawed(derived, "")).toEqual([]);
    expect(Object.isFrozen(roomVersions)).toBe(true);
    expect(freezeDeep({ a: null, b: { c: [{}] } })).toSatisfy((value) => thawed(value, "").length === 0);
  });
});

describe("deriving a version of one's own [cap:registry]", () => {
  it("merges groups key by key and leaves the base alone", () => {
    const before = JSON.stringify(rulesOf("10"));
    const mine = deriveRules(rulesOf("10"), "org.example.mine", {
      format: { numbers: "lax" },
      signing: { keyValidity: "ignored" },
      auth: { knock: false },
      redaction: { topLevel: ["type"], content: {} },
      stateResolution: "v2.1",
      content: "extensible",
      tombstoneAboveStateDefault: true,
    });
    expect(mine).toEqual({
      ...rulesOf("10"),
      id: "org.example.mine",
      content: "extensible",
      stateResolution: "v2.1",
      tombstoneAboveStateDefault: true,
      redaction: { topLevel: ["type"], content: {} },
      format: { ...rulesOf("10").format, numbers: "lax" },
      signing: { ...rulesOf("10").signing, keyValidity: "ignored" },
      auth: { ...rulesOf("10").auth, knock: false },
    });
    expect(JSON.stringify(rulesOf("10"))).toBe(before);
    expect(deriveRules(rulesOf("10"), "10", {})).toEqual(rulesOf("10"));
  });
});

describe("the registry [cap:registry]", () => {
  const own: RoomVersion = defineRoomVersion(deriveRules(rulesOf("12"), "org.example.13", {}), resolveV21);

  it("has the versions of the spec and I.1, and refuses others", () => {
    expect([...roomVersions.ids()].sort()).toEqual([...ALL].sort());
    for (const id of ALL) expect([roomVersions.has(id), valueOf(roomVersions.get(id)).id]).toEqual([true, id]);
    for (const id of ["", "0", "13", "i.1", "I.2", "v10", " 10", "10.0", "constructor", "__proto__"]) {
      expect(roomVersions.has(id)).toBe(false);
      expect(roomVersions.get(id)).toMatchObject({ ok: false, error: { code: "unknown_room_version", events: [] } });
      expect(codeOf(roomVersions.get(id))).toBe("unknown_room_version");
    }
  });
  it("grows into a new one and stays as it is", () => {
    const more = roomVersions.with(own);
    expect(valueOf(more.get("org.example.13"))).toBe(own);
    expect(more.ids()).toHaveLength(14);
    expect(valueOf(more.get("1"))).toBe(valueOf(roomVersions.get("1")));
    expect(roomVersions.has("org.example.13")).toBe(false);
    expect(roomVersions.ids()).toHaveLength(13);
    expect(Reflect.set(more.ids() as string[], 0, "x")).toBe(true);
    expect(more.has("x")).toBe(false);
  });
  it("may hold one version alone, or none", () => {
    expect(createRegistry([versions.v12]).ids()).toEqual(["12"]);
    expect(createRegistry([]).has("1")).toBe(false);
    expect(roomVersions.with().ids()).toEqual(roomVersions.ids());
  });
  it("never redefines a version", () => {
    const impostor = defineRoomVersion(deriveRules(rulesOf("1"), "10", {}), resolveV1);
    expect(() => roomVersions.with(impostor)).toThrow(UsageError);
    expect(() => roomVersions.with(versions.v10)).toThrow(/registered already/);
    expect(() => roomVersions.with(own, own)).toThrow(UsageError);
    expect(() => createRegistry([own, own])).toThrow(UsageError);
    expect(valueOf(roomVersions.get("10"))).toBe(versions.v10);
  });
  it.each(["", "I", "I.", "I.x", "V1", "a b", "x".repeat(33), "ü", "I.1 "])(
    "refuses the identifier %j [cap:version-grammar]",
    (id) => {
      const malformed = defineRoomVersion(deriveRules(rulesOf("1"), id, {}), resolveV1);
      expect(() => createRegistry([malformed])).toThrow(UsageError);
      expect(() => roomVersions.with(malformed)).toThrow(/no room version identifier/);
    },
  );
  it.each(["I.2", "I.1.1", "a", "x".repeat(32), "org.example-1"])(
    "takes the identifier %j [cap:version-grammar]",
    (id) => {
      expect(roomVersions.with(defineRoomVersion(deriveRules(rulesOf("1"), id, {}), resolveV1)).has(id)).toBe(true);
    },
  );
  it("exports nothing that compares versions: they have no order", () => {
    const exported = Object.keys(versions).filter((name) => !/^(v\d+|i1)$/.test(name));
    expect(exported.sort()).toEqual(["createRegistry", "defineRoomVersion", "deriveRules", "roomVersions"]);
    expect(Object.keys(roomVersions).sort()).toEqual(["get", "has", "ids", "with"]);
    const names = ALL.map((id) => (id === "I.1" ? "i1" : `v${id}`));
    for (const name of names) expect(Reflect.get(versions, name)).toBeDefined();
  });
});
