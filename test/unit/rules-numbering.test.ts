import { describe, expect, it } from "vitest";
import { ruleLabel } from "../../src/auth/verdict.js";
import type { RuleName } from "../../src/versions/index.js";
import { ALL, rulesOf } from "../support/event.js";

/**
 * Numbers as the pages of the spec print them, one column a version. `-` where the page has no such rule.
 * Versions with the same page share a column.
 */
const columns = ["1", "3", "6", "7", "8", "10", "11", "12"] as const;
const same: Readonly<Record<string, string>> = { "2": "1", "4": "3", "5": "3", "9": "8", "I.1": "10" };
const printed: readonly (readonly [rule: RuleName, ...numbers: string[]])[] = [
  ["create.prev-events", "1.1", "1.1", "1.1", "1.1", "1.1", "1.1", "1.1", "1.1"],
  ["create.creator", "1.4", "1.4", "1.4", "1.4", "1.4", "1.4", "-", "-"],
  ["create.additional-creators", "-", "-", "-", "-", "-", "-", "-", "1.4"],
  ["create.allow", "1.5", "1.5", "1.5", "1.5", "1.5", "1.5", "1.4", "1.5"],
  ["room-id.create", "-", "-", "-", "-", "-", "-", "-", "2"],
  ["auth-events.duplicate", "2.1", "2.1", "2.1", "2.1", "2.1", "2.1", "2.1", "3.1"],
  ["auth-events.selection", "2.2", "2.2", "2.2", "2.2", "2.2", "2.2", "2.2", "3.2"],
  ["auth-events.create", "2.4", "2.4", "2.4", "2.4", "2.4", "2.4", "2.4", "-"],
  ["auth-events.room", "2.5", "2.5", "2.5", "2.5", "2.5", "2.5", "2.5", "3.5"],
  ["federate", "3", "3", "3", "3", "3", "3", "3", "4"],
  ["aliases.state-key", "4.1", "4.1", "-", "-", "-", "-", "-", "-"],
  ["member.shape", "5.1", "5.1", "4.1", "4.1", "4.1", "4.1", "4.1", "5.1"],
  ["member.authorising-signature", "-", "-", "-", "-", "4.2.1", "4.2.1", "4.2.1", "5.2.1"],
  ["member.join.first", "5.2.1", "5.2.1", "4.2.1", "4.2.1", "4.3.1", "4.3.1", "4.3.1", "5.3.1"],
  ["member.join.restricted", "-", "-", "-", "-", "4.3.5", "4.3.5", "4.3.5", "5.3.5"],
  ["member.join.public", "5.2.5", "5.2.5", "4.2.5", "4.2.5", "4.3.6", "4.3.6", "4.3.6", "5.3.6"],
  [
    "member.invite.third-party.banned",
    "5.3.1.1",
    "5.3.1.1",
    "4.3.1.1",
    "4.3.1.1",
    "4.4.1.1",
    "4.4.1.1",
    "4.4.1.1",
    "5.4.1.1",
  ],
  ["member.invite.level", "5.3.4", "5.3.4", "4.3.4", "4.3.4", "4.4.4", "4.4.4", "4.4.4", "5.4.4"],
  ["member.leave.unban", "5.4.3", "5.4.3", "4.4.3", "4.4.3", "4.5.3", "4.5.3", "4.5.3", "5.5.3"],
  ["member.ban.level", "5.5.2", "5.5.2", "4.5.2", "4.5.2", "4.6.2", "4.6.2", "4.6.2", "5.6.2"],
  ["member.knock.join-rule", "-", "-", "-", "4.6.1", "4.7.1", "4.7.1", "4.7.1", "5.7.1"],
  ["member.unknown", "5.6", "5.6", "4.6", "4.7", "4.8", "4.8", "4.8", "5.8"],
  ["sender-joined", "6", "6", "5", "5", "5", "5", "5", "6"],
  ["third-party-invite", "7.1", "7.1", "6.1", "6.1", "6.1", "6.1", "6.1", "7.1"],
  ["required-level", "8", "8", "7", "7", "7", "7", "7", "8"],
  ["state-key", "9", "9", "8", "8", "8", "8", "8", "9"],
  ["power-levels.scalars", "-", "-", "-", "-", "-", "9.1", "9.1", "10.1"],
  ["power-levels.maps", "-", "-", "-", "-", "-", "9.2", "9.2", "10.2"],
  ["power-levels.users", "10.1", "10.1", "9.1", "9.1", "9.1", "9.3", "9.3", "10.3"],
  ["power-levels.creators", "-", "-", "-", "-", "-", "-", "-", "10.4"],
  ["power-levels.first", "10.2", "10.2", "9.2", "9.2", "9.2", "9.4", "9.4", "10.5"],
  ["power-levels.scalar-current", "10.3.1", "10.3.1", "9.3.1", "9.3.1", "9.3.1", "9.5.1", "9.5.1", "10.6.1"],
  ["power-levels.entry-new", "10.5.1", "10.5.1", "9.5.1", "9.5.1", "9.5.1", "9.7.1", "9.7.1", "10.8.1"],
  ["power-levels.user-new", "10.7.1", "10.7.1", "9.7.1", "9.7.1", "9.7.1", "9.9.1", "9.9.1", "10.10.1"],
  ["redaction.level", "11.1", "-", "-", "-", "-", "-", "-", "-"],
  ["allow", "12", "11", "10", "10", "10", "10", "10", "11"],
];

describe("rules under the numbers of their page", () => {
  it.each(ALL)("version %s", (id) => {
    const at = columns.findIndex((column) => column === (same[id] ?? id));
    const { numbering } = rulesOf(id).auth;
    const expected = printed.map(([rule, ...numbers]) => [rule, numbers[at] === "-" ? undefined : numbers[at]]);
    expect(printed.map(([rule]) => [rule, numbering[rule]])).toEqual(expected);
  });
  it("labels a rule with its version, and with its name where the page has none", () => {
    expect(ruleLabel(rulesOf("10"), "member.join.public")).toBe("v10 rule 4.3.6");
    expect(ruleLabel(rulesOf("I.1"), "auth-events.create")).toBe("I.1 rule 2.4");
    expect(ruleLabel(rulesOf("12"), "auth-events.create")).toBe("v12 rule auth-events.create");
  });
});
