/** The matcher of server ACLs against the plainest one there is. */
import { fc, test } from "@fast-check/vitest";
import { expect } from "vitest";
import { isServerAllowed, parseServerAcl } from "../../src/federation/acl.js";
import type { JsonValue } from "../../src/json/index.js";

/** By the definition: what is left of the pattern against what is left of the text. */
function naive(pattern: string, text: string): boolean {
  if (pattern === "") return text === "";
  if (pattern.startsWith("*")) return naive(pattern.slice(1), text) || (text !== "" && naive(pattern, text.slice(1)));
  if (text === "") return false;
  return (pattern.startsWith("?") || pattern[0] === text[0]) && naive(pattern.slice(1), text.slice(1));
}

const letters = (alphabet: string, limits: fc.StringConstraints): fc.Arbitrary<string> =>
  fc.string({ ...limits, unit: fc.constantFrom(...alphabet) });

const lower = (text: string): string => text.replaceAll("A", "a").replaceAll("B", "b");

test.prop([letters("aAb.*?", { maxLength: 10 }), letters("aBb.", { minLength: 1, maxLength: 10 })], { numRuns: 3000 })(
  "a pattern covers what the definition of globs says, whatever the case",
  (pattern, host) => {
    const expected = naive(lower(pattern), lower(host));
    expect(isServerAllowed(parseServerAcl({ allow: [pattern] }), host)).toBe(expected);
    expect(isServerAllowed(parseServerAcl({ allow: ["*"], deny: [pattern] }), `${host}:8448`)).toBe(!expected);
  },
);

test.prop([fc.domain(), fc.array(fc.nat(3), { minLength: 1 })], { numRuns: 300 })(
  "a pattern made from a host by putting in wildcards covers it",
  (host, choices) => {
    const pattern = Array.from(host, (char, index) => {
      const choice = choices[index % choices.length];
      return choice === 0 ? "?" : choice === 1 ? "*" : choice === 2 ? `*${char}` : char.toUpperCase();
    }).join("");
    expect(isServerAllowed(parseServerAcl({ allow: [pattern] }), host)).toBe(true);
  },
);

const list = fc.array(letters("ab.*?", { maxLength: 4 }), { maxLength: 5 });

test.prop([list, list, letters("ab.", { minLength: 1, maxLength: 4 })], { numRuns: 1000 })(
  "lists are as good as their entries, one by one",
  (allow, deny, host) => {
    const any = (patterns: readonly string[]): boolean => patterns.some((pattern) => naive(pattern, host));
    expect(isServerAllowed(parseServerAcl({ allow, deny }), host)).toBe(!any(deny) && any(allow));
  },
);

test.prop([fc.dictionary(fc.constantFrom("allow", "deny", "allow_ip_literals", "x"), fc.jsonValue()), fc.string()])(
  "no content and no name makes it throw",
  (content, server) => {
    const acl = parseServerAcl(content as Record<string, JsonValue>);
    expect(typeof isServerAllowed(acl, server)).toBe("boolean");
    expect(Object.isFrozen(acl)).toBe(true);
  },
);
