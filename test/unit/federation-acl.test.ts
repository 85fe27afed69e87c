/** The cases that the spec's text decides, and patterns made to be slow. */
import { describe, expect, it } from "vitest";
import { aclProtectedOperations, isServerAllowed, parseServerAcl } from "../../src/federation/acl.js";
import type { JsonObject, JsonValue } from "../../src/json/index.js";

const allowed = (content: JsonObject | undefined, server: string): boolean =>
  isServerAllowed(parseServerAcl(content), server);

const matches = (pattern: string, server: string): boolean => allowed({ allow: [pattern] }, server);

const LITERALS = ["1.2.3.4", "1.2.3.4:80", "255.255.255.255", "[::1]", "[::1]:8448", "[2001:DB8::1]", "[::1.2.3.4]"];
const NAMES = ["matrix.org", "matrix.org:8448", "1.2.3", "1.2.3.4.", "1.2.3.4.5", "a1.2.3.4", "0x7f.1", "localhost:1"];

describe("the order of a server ACL", () => {
  it.each([...LITERALS, ...NAMES, "not a server name", ""])("without the event %j is allowed", (server) => {
    expect(allowed(undefined, server)).toBe(true);
  });

  it.each([...LITERALS, ...NAMES])("an empty event, as a redacted one is, denies %j", (server) => {
    expect(allowed({}, server)).toBe(false);
  });

  it.each(LITERALS)("%s is an IP literal, which a flag of false denies and otherwise the lists decide", (server) => {
    expect(allowed({ allow: ["*"], allow_ip_literals: false }, server)).toBe(false);
    expect(allowed({ allow: ["*"], allow_ip_literals: true }, server)).toBe(true);
    expect(allowed({ allow: ["*"] }, server)).toBe(true);
    expect(allowed({ allow: ["*"], deny: ["*"], allow_ip_literals: true }, server)).toBe(false);
  });

  it.each(NAMES)("%s is no IP literal", (server) => {
    expect(allowed({ allow: ["*"], allow_ip_literals: false }, server)).toBe(true);
  });

  it.each([null, 0, "false", "", [], {}, [false]] as readonly JsonValue[])(
    "the flag %j is no boolean: true",
    (flag) => {
      expect(allowed({ allow: ["*"], allow_ip_literals: flag }, "1.2.3.4")).toBe(true);
    },
  );

  it("asks `deny` before `allow`", () => {
    const content = { allow: ["evil.com", "*"], deny: ["evil.com"] };
    expect(allowed(content, "evil.com")).toBe(false);
    expect(allowed(content, "good.com")).toBe(true);
  });

  it("denies what neither list names", () => {
    expect(allowed({ allow: ["good.com"], deny: ["evil.com"] }, "other.com")).toBe(false);
  });

  it.each(["", "evil.com:", "evil_corp.com", "[::1", "a b", "é.example", "evil.com:123456", "*"])(
    "denies %j, which is no server name, even where all are allowed",
    (server) => {
      expect(allowed({ allow: ["*"] }, server)).toBe(false);
    },
  );
});

describe("the port of a server", () => {
  it.each(["evil.com", "evil.com:8448", "evil.com:1234", "EVIL.com:1"])(
    "%s falls under a rule for evil.com",
    (server) => {
      expect(allowed({ allow: ["*"], deny: ["evil.com"] }, server)).toBe(false);
    },
  );

  it("is nothing that a rule can name", () => {
    expect(allowed({ allow: ["*"], deny: ["evil.com:8448", "evil.com:*"] }, "evil.com:8448")).toBe(true);
  });

  it("is told from the groups of an IPv6 address, which keeps its brackets", () => {
    expect(matches("[::1]", "[::1]:8448")).toBe(true);
    expect(matches("[*]", "[2001:db8::1]:8448")).toBe(true);
    expect(matches("[2001:DB8::?]", "[2001:db8::1]")).toBe(true);
    expect(matches("::1", "[::1]")).toBe(false);
  });
});

describe("lists that are not as they should be", () => {
  it.each([null, "*", 1, true, { 0: "*", length: 1 }] as readonly JsonValue[])("%j is an empty list", (list) => {
    expect(allowed({ allow: list }, "a.com")).toBe(false);
    expect(allowed({ allow: ["*"], deny: list }, "a.com")).toBe(true);
  });

  it("passes over entries that are not strings, and keeps the others", () => {
    const list: JsonValue = [null, 1, true, ["*"], { "*": "*" }, "a.com"];
    expect(allowed({ allow: list }, "a.com")).toBe(true);
    expect(allowed({ allow: list }, "b.com")).toBe(false);
    expect(allowed({ allow: ["*"], deny: list }, "b.com")).toBe(true);
  });

  it("reads own keys only", () => {
    const inherited = Object.create({ allow: ["*"] }) as JsonObject;
    expect(allowed(inherited, "a.com")).toBe(false);
  });
});

describe("a pattern", () => {
  it.each([
    ["evil.com", "evil.com"],
    ["EVIL.com", "evil.COM"],
    ["*", "a"],
    ["**", "a.b"],
    ["*.evil.com", "a.b.evil.com"],
    ["*.evil.com", ".evil.com"],
    ["evil.*", "evil.com"],
    ["evil.*", "evil."],
    ["*vi*.c*m", "evil.com"],
    ["e??l.com", "evil.com"],
    ["?*?", "ab"],
    ["*a?", "aab"],
    ["*ab*ab*", "abab"],
    ["*ana*", "bananas"],
    ["a*a", "aa"],
    ["*?a*?b", "xxayb"],
    ["xn--*.example", "XN--BCHER-KVA.example"],
    ["1.2.3.*", "1.2.3.4"],
  ])("%s covers %s", (pattern, server) => {
    expect(matches(pattern, server)).toBe(true);
  });

  it.each([
    ["evil.com", "evil.com.au"],
    ["evil.com", "notevil.com"],
    ["*.evil.com", "evil.com"],
    ["*.evil.com", "a.evil.com.au"],
    ["evil?com", "evilcom"],
    ["evil?com", "evil..com"],
    ["a*a", "a"],
    ["ab*ba", "aba"],
    ["*ab*ab*", "abcb"],
    ["?*?", "a"],
    ["*ba*ab*", "bab"],
    ["", "a"],
    ["?", "ab"],
  ])("%s does not cover %s", (pattern, server) => {
    expect(matches(pattern, server)).toBe(false);
  });

  it.each([
    "e.il.com",
    "^evil.com$",
    "evil.com|a",
    "[e]vil.com",
    "(evil.com)",
    "e+vil.com",
    "e{1}vil.com",
    "\\evil.com",
  ])("has no special characters but `*` and `?`: %s is not evil.com", (pattern) => {
    expect(matches(pattern, "evil.com")).toBe(false);
  });

  it("takes a dot for a dot", () => {
    expect(matches("a.b", "a.b")).toBe(true);
    expect(matches("a.b", "a-b")).toBe(false);
  });

  it("folds ASCII letters alone: a Kelvin sign, a long s and a dotted I are not k, s and i", () => {
    for (const pattern of ["\u212a.com", "\u017f.com", "\u0130.com", "\u0131.com"]) {
      for (const server of ["k.com", "s.com", "i.com"]) expect(matches(pattern, server)).toBe(false);
    }
    expect(matches("*.İ*", "a.i")).toBe(false);
  });

  it("written in Unicode covers no server; its form in ASCII does", () => {
    expect(matches("bücher.example", "xn--bcher-kva.example")).toBe(false);
    expect(matches("xn--BCHER-kva.*", "xn--bcher-kva.example")).toBe(true);
  });

  it("longer than any host covers none, unless its length is in `*`s", () => {
    const long = "a".repeat(255);
    expect(matches(long, long)).toBe(true);
    expect(matches("?".repeat(255), long)).toBe(true);
    expect(matches("?".repeat(256), long)).toBe(false);
    expect(matches("*".repeat(60_000), "a")).toBe(true);
  });
});

describe("the cost of a server ACL", () => {
  const host = "a".repeat(255);
  /** What fills an event: 64 KiB of one pattern, or of as many as fit. */
  const fill = (pattern: string): string[] =>
    Array.from({ length: Math.floor(65_000 / (pattern.length + 3)) }, () => pattern);

  it.each([
    ["a star before every letter", ["*a".repeat(32_000) + "b"]],
    ["stars and letters that fit, but for the end", fill("*a".repeat(120) + "*b")],
    ["stars and letters that fit, but for the middle", fill("*a".repeat(100) + "*b*" + "a*".repeat(100))],
    ["one long piece that nearly fits everywhere", fill(`*${"a".repeat(127)}b*`)],
    ["question marks between stars", fill("*?".repeat(127) + "b")],
    ["a long piece of question marks", fill(`*${"?".repeat(127)}b*`)],
    ["short patterns by the thousand", fill("*b*")],
    ["names by the thousand", Array.from({ length: 10_000 }, (_, i) => `host${i}.example`)],
  ])("stays small for %s", (_, deny) => {
    const acl = parseServerAcl({ allow: ["*"], deny });
    const start = performance.now();
    for (let i = 0; i < 5; i++) expect(isServerAllowed(acl, host)).toBe(true);
    // A backtracking matcher does not come back from the first of these; a machine under load is no reason to fail.
    expect(performance.now() - start).toBeLessThan(5_000);
  });
});

describe("what an ACL guards", () => {
  it("is the spec's list of endpoints, by the names of the operations", () => {
    const endpoints = [
      "v1/make_join",
      "v1/make_leave",
      "v1/send_join",
      "v2/send_join",
      "v1/send_leave",
      "v2/send_leave",
      "v1/invite",
      "v2/invite",
      "v1/make_knock",
      "v1/send_knock",
      "v1/state",
      "v1/state_ids",
      "v1/backfill",
      "v1/event_auth",
      "v1/get_missing_events",
    ];
    expect(aclProtectedOperations).toEqual([...new Set(endpoints.map((endpoint) => endpoint.slice(3)))]);
    expect(aclProtectedOperations).not.toContain("event");
    expect(aclProtectedOperations).not.toContain("send");
  });
});
