import { describe, expect, it } from "vitest";
import fixtures from "../../fixtures/identifiers.json" with { type: "json" };
import { UsageError } from "../../src/errors.js";
import type { Result } from "../../src/errors.js";
import {
  codePointLength,
  domainOf,
  isEventId,
  isKeyId,
  isRoomAlias,
  isRoomId,
  isRoomVersion,
  isServerName,
  isUserId,
  mapToLocalpart,
  mintUserId,
  parseEventId,
  parseKeyId,
  parseRoomAlias,
  parseRoomId,
  parseRoomVersion,
  parseServerName,
  parseUserId,
  serverOf,
  utf8Length,
} from "../../src/ids/index.js";

function verdict(result: Result<unknown>): string {
  return result.ok ? "valid" : result.error.code;
}

const LONE = "\ud800";

describe("server names [cap:server-name]", () => {
  it.each(fixtures.server.valid)("accepts %j", (name) => {
    expect(verdict(parseServerName(name))).toBe("valid");
    expect(verdict(parseServerName(name, "historical"))).toBe("valid");
    expect(isServerName(name)).toBe(true);
  });

  it.each(fixtures.server.invalid)("refuses %j", (name) => {
    expect(verdict(parseServerName(name))).toBe("bad_identifier");
    expect(isServerName(name)).toBe(false);
    const inEvents = fixtures.server.historicalOnly.includes(name) ? "valid" : "bad_identifier";
    expect(verdict(parseServerName(name, "historical"))).toBe(inEvents);
  });

  it.each([
    ["matrix.org", { host: "matrix.org", kind: "dns" }],
    ["matrix.org:8888", { host: "matrix.org", port: 8888, kind: "dns" }],
    ["1.2.3.4", { host: "1.2.3.4", kind: "ipv4" }],
    ["1.2.3.4:1234", { host: "1.2.3.4", port: 1234, kind: "ipv4" }],
    ["1.2.3", { host: "1.2.3", kind: "dns" }],
    ["[1234:5678::abcd]", { host: "[1234:5678::abcd]", kind: "ipv6" }],
    ["[1234:5678::abcd]:5678", { host: "[1234:5678::abcd]", port: 5678, kind: "ipv6" }],
  ])("splits %s", (name, parts) => {
    expect(parseServerName(name)).toEqual({ ok: true, value: { name, ...parts } });
  });

  it("reads an out-of-range dotted quad inside events as a DNS name, as peers do", () => {
    expect(parseServerName("256.1.1.1", "historical")).toEqual({
      ok: true,
      value: { name: "256.1.1.1", host: "256.1.1.1", kind: "dns" },
    });
  });
});

describe("user ids", () => {
  it.each(fixtures.user.valid)("accepts %j in both modes", (id) => {
    expect(verdict(parseUserId(id))).toBe("valid");
    expect(verdict(parseUserId(id, "strict"))).toBe("valid");
  });

  it.each(fixtures.user.historical)("accepts %j inside events only", (id) => {
    expect(verdict(parseUserId(id))).toBe("valid");
    expect(isUserId(id)).toBe(true);
    expect(verdict(parseUserId(id, "strict"))).toBe("bad_identifier");
    expect(isUserId(id, "strict")).toBe(false);
  });

  it.each([...fixtures.user.invalid, `@${LONE}:example.org`])("refuses %j", (id) => {
    expect(verdict(parseUserId(id))).toBe("bad_identifier");
    expect(verdict(parseUserId(id, "strict"))).toBe("bad_identifier");
  });

  it("splits at the first colon", () => {
    expect(parseUserId("@u:[::1]:8448")).toEqual({
      ok: true,
      value: { id: "@u:[::1]:8448", localpart: "u", server: "[::1]:8448" },
    });
    expect(parseUserId("@:h")).toEqual({ ok: true, value: { id: "@:h", localpart: "", server: "h" } });
  });

  it("names the section that it refuses by", () => {
    expect(parseUserId("alice")).toMatchObject({ error: { rule: "User Identifiers", events: [] } });
    expect(parseUserId("@alice:")).toMatchObject({ error: { rule: "Server Name" } });
  });
});

describe("room ids", () => {
  it.each(fixtures.room.domain)("accepts %j where rooms carry a domain", (id) => {
    expect(verdict(parseRoomId(id))).toBe("valid");
    expect(verdict(parseRoomId(id, "domain"))).toBe("valid");
    expect(verdict(parseRoomId(id, "create-hash"))).toBe("bad_identifier");
  });

  it.each(fixtures.room.createHash)("accepts %j where rooms are named by their create event", (id) => {
    expect(verdict(parseRoomId(id))).toBe("valid");
    expect(verdict(parseRoomId(id, "create-hash"))).toBe("valid");
    expect(verdict(parseRoomId(id, "domain"))).toBe("bad_identifier");
    expect(parseRoomId(id)).toEqual({ ok: true, value: { id, opaque: id.slice(1) } });
  });

  it.each([...fixtures.room.invalid, `!${LONE}:example.org`])("refuses %j", (id) => {
    for (const form of ["any", "domain", "create-hash"] as const) {
      expect(verdict(parseRoomId(id, form))).toBe("bad_identifier");
    }
  });
});

describe("event ids", () => {
  const forms = ["in-pdu", "hash-standard", "hash-url-safe"] as const;
  const samples = {
    "in-pdu": fixtures.event.inPdu,
    "hash-standard": fixtures.event.hashStandard,
    "hash-url-safe": fixtures.event.hashUrlSafe,
  };

  it.each(forms.flatMap((form) => samples[form].map((id) => [form, id] as const)))("%s: accepts %j only", (own, id) => {
    expect(verdict(parseEventId(id))).toBe("valid");
    for (const form of forms) {
      expect(verdict(parseEventId(id, form))).toBe(form === own ? "valid" : "bad_identifier");
    }
  });

  it.each([...fixtures.event.invalid, `$${LONE}:example.org`])("refuses %j", (id) => {
    for (const form of ["any", ...forms] as const) expect(verdict(parseEventId(id, form))).toBe("bad_identifier");
  });

  it("takes the server apart in versions 1 and 2", () => {
    expect(parseEventId("$a:h:1", "in-pdu")).toEqual({ ok: true, value: { id: "$a:h:1", opaque: "a", server: "h:1" } });
  });
});

describe("room aliases, key ids and room versions", () => {
  it.each(fixtures.alias.valid)("accepts the alias %j", (alias) => expect(isRoomAlias(alias)).toBe(true));
  it.each([...fixtures.alias.invalid, `#${LONE}:h`])("refuses the alias %j", (alias) => {
    expect(verdict(parseRoomAlias(alias))).toBe("bad_identifier");
  });

  it.each(fixtures.key.valid)("accepts the key id %j", (id) => expect(isKeyId(id)).toBe(true));
  it.each(fixtures.key.invalid)("refuses the key id %j", (id) => {
    expect(verdict(parseKeyId(id))).toBe("bad_identifier");
  });
  it("splits a key id", () => {
    const value = { id: "ed25519:a_YkPS", algorithm: "ed25519", version: "a_YkPS" };
    expect(parseKeyId("ed25519:a_YkPS")).toEqual({ ok: true, value });
  });

  it.each(fixtures.version.valid)("accepts the room version %j", (id) => {
    expect(parseRoomVersion(id)).toEqual({ ok: true, value: id });
  });
  it.each(fixtures.version.invalid)("refuses the room version %j", (id) => {
    expect(verdict(parseRoomVersion(id))).toBe("bad_identifier");
  });
});

describe("guards", () => {
  it.each([undefined, null, 1, {}, [], true, ["@a:b"]])("refuse %j, which is no string", (value) => {
    const guards = [isUserId, isRoomId, isEventId, isRoomAlias, isServerName, isKeyId, isRoomVersion];
    expect(guards.map((guard) => guard(value))).toEqual(guards.map(() => false));
  });

  it("narrow by the form that a room version asks for", () => {
    expect(isRoomId("!a:b", "create-hash")).toBe(false);
    expect(isEventId("$a:b", "hash-url-safe")).toBe(false);
    expect(isServerName("256.1.1.1", "historical")).toBe(true);
    expect(isRoomVersion("I.1")).toBe(true);
  });
});

describe("the domain of an identifier", () => {
  it.each([
    ["@u:other:8448", "other:8448"],
    ["!r:victim:8448", "victim:8448"],
    ["@a:[::1]:8448", "[::1]:8448"],
    ["@a:", ""],
    ["!hash", undefined],
  ])("of %s is what follows the first colon", (id, domain) => {
    expect(domainOf(id)).toBe(domain);
  });

  it("is a server only where it is one", () => {
    expect(serverOf("@a:[::1]:8448")).toBe("[::1]:8448");
    expect(serverOf("@a:256.1.1.1")).toBe("256.1.1.1");
    expect(serverOf("@a:")).toBeUndefined();
    expect(serverOf("@a:b c")).toBeUndefined();
    expect(serverOf("!hash")).toBeUndefined();
  });
});

describe("minting", () => {
  it("makes strict user ids only", () => {
    expect(mintUserId("alice", "example.org")).toBe("@alice:example.org");
    for (const localpart of ["", "Alice", "a:b", "é"]) {
      expect(() => mintUserId(localpart, "example.org")).toThrow(UsageError);
    }
    expect(() => mintUserId("alice", "256.1.1.1")).toThrow(UsageError);
  });

  it.each([
    ["á", "=c3=a1"],
    ["#", "=23"],
    ["Alice", "alice"],
    ["a=b", "a=3db"],
    ["a b%!'()*~", "a=20b=25=21=27=28=29=2a=7e"],
    ["日😀", "=e6=97=a5=f0=9f=98=80"],
    ["\0", "=00"],
    ["\u212a", "=e2=84=aa"],
    ["a.b_c-d/e+f0", "a.b_c-d/e+f0"],
  ])("maps %j to %j", (text, mapped) => expect(mapToLocalpart(text)).toBe(mapped));

  it("keeps case apart when asked", () => {
    expect(mapToLocalpart("A_b", true)).toBe("_a__b");
  });

  it("does not map broken text", () => {
    expect(() => mapToLocalpart("a\udc00")).toThrow(UsageError);
  });
});

describe("lengths", () => {
  it.each([
    ["", 0, 0],
    ["abc", 3, 3],
    ["é", 2, 1],
    ["日本", 6, 2],
    ["😀", 4, 1],
    ["a\ud800", 4, 2],
    ["\udc00\ud800", 6, 2],
    ["\uffff", 3, 1],
  ])("of %j are %i bytes and %i code points", (text, bytes, points) => {
    expect(utf8Length(text)).toBe(bytes);
    expect(codePointLength(text)).toBe(points);
  });
});
