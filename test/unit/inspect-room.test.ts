import { describe, expect, it } from "vitest";
import {
  checkRoom,
  explainEvent,
  formatClosing,
  formatExplanation,
  formatReport,
  formatSummary,
  formatTraces,
  keyLookup,
  plainReport,
  printable,
  readDump,
} from "../../src/inspect/index.js";
import type { RoomReport } from "../../src/inspect/index.js";
import type { JsonObject } from "../../src/json/index.js";
import { RoomMaker, alice, bob, dumpOf, keys, reportOf, smallRoom } from "./inspect-support.js";

const maker = new RoomMaker();
const idOf = (event: JsonObject): string => maker.idOf(event);
const { create, join, rules, message, intruder } = smallRoom();
const verdictsOf = (report: RoomReport): Record<string, unknown> =>
  Object.fromEntries(report.events.map(({ eventId, verdict }) => [eventId, verdict.verdict]));
const kindsOf = (report: RoomReport): unknown => report.disagreements.map(({ kind, events }) => [kind, events[0]]);

describe("verdicts", () => {
  it("accepts what the rules allow, by the rule that allowed it", () => {
    const report = reportOf([create, join, rules, message]);
    expect(report.events.map(({ verdict }) => verdict)).toEqual([
      { verdict: "accepted", rule: "v10 rule 1.5", basis: "state-before" },
      { verdict: "accepted", rule: "v10 rule 4.3.1", basis: "state-before" },
      { verdict: "accepted", rule: "v10 rule 10", basis: "state-before" },
      { verdict: "accepted", rule: "v10 rule 10", basis: "state-before" },
    ]);
    expect(report.state?.map(({ eventId }) => eventId)).toEqual([idOf(create), idOf(rules), idOf(join)]);
    expect(report.tips).toEqual([idOf(message)]);
    expect(report.disagreements).toEqual([]);
  });

  it("[cap:rejection v:10] rejects by auth events, and the state is untouched", () => {
    const report = reportOf([create, join, rules, intruder]);
    expect(report.events.at(-1)?.verdict).toMatchObject({
      verdict: "rejected-by-auth-events",
      refusal: { rule: "v10 rule 5", events: [idOf(intruder)] },
    });
    expect(report.tips).toEqual([idOf(rules)]);
    expect(report.state).toHaveLength(3);
    expect(kindsOf(report)).toEqual([["refused", idOf(intruder)]]);
  });

  it("[cap:rejection v:10] rejects by the state before what its auth events would allow", () => {
    const room = new RoomMaker();
    const leave = room.make({
      type: "m.room.member",
      stateKey: alice,
      content: { membership: "leave" },
      after: [rules],
      auth: [create, join],
    });
    const late = room.make({ type: "m.room.message", after: [leave], auth: [create, join] });
    const next = room.make({
      type: "m.room.member",
      sender: bob,
      stateKey: bob,
      content: { membership: "join" },
      after: [late],
      auth: [create, rules],
    });
    const report = reportOf([create, join, rules, leave, late, next]);
    expect(verdictsOf(report)).toMatchObject({ [idOf(late)]: "rejected-by-state", [idOf(next)]: "accepted" });
    expect(report.replay.stateBefore(idOf(next))?.equals(report.replay.stateBefore(idOf(late))!)).toBe(true);
  });

  it("agrees with a file that records the rejection, and not with one that records another", () => {
    const wrap = (pdu: JsonObject, rejected: boolean): object => ({ event_id: idOf(pdu), pdu, rejected });
    const right = reportOf({ timeline: [create, join, rules, wrap(intruder, true)] });
    expect(right.disagreements).toEqual([]);
    const wrong = reportOf({ timeline: [create, join, rules, wrap(message, true)] });
    expect(kindsOf(wrong)).toEqual([["standing", idOf(message)]]);
  });

  it("an event after a rejected one goes on from the state before that", () => {
    const room = new RoomMaker();
    const after = room.make({ type: "m.room.message", after: [intruder], auth: [create, join] });
    const report = reportOf([create, join, rules, intruder, after]);
    expect(verdictsOf(report)[idOf(after)]).toBe("accepted");
    expect(report.tips).toEqual([idOf(after)]);
  });

  it("rejects what rests on a rejected event", () => {
    const room = new RoomMaker();
    const bobs = { sender: bob, stateKey: bob, content: { membership: "join" } };
    const early = room.make({ type: "m.room.member", ...bobs, after: [join], auth: [create] });
    const cites = room.make({ type: "m.room.message", sender: bob, after: [early], auth: [create, early] });
    const report = reportOf([create, join, early, cites]);
    expect(report.events.at(-1)?.verdict).toMatchObject({
      verdict: "rejected-by-auth-events",
      refusal: { rule: "v10 rule 2.3", events: [idOf(cites), idOf(early)] },
    });
  });

  it("drops bad signatures, and what rests on them is undecided", () => {
    const forged = { ...join, signatures: { "a.example": { "ed25519:1": "A".repeat(86) } } };
    const report = reportOf([create, forged, rules]);
    expect(report.events.map(({ verdict }) => verdict)).toMatchObject([
      { verdict: "accepted" },
      { verdict: "bad-signature", refusal: { code: "bad_signature" } },
      { verdict: "undecided", events: [idOf(join)] },
    ]);
    expect(report.signatures).toEqual({ verified: 2, unknownKey: 0, refused: 1 });
  });

  it("an unsigned event is refused although no key is known", () => {
    const report = reportOf([{ ...create, signatures: {} }], { keys: [] });
    expect(report.events[0]?.verdict).toMatchObject({ verdict: "bad-signature" });
  });

  it("without keys, signatures are unknown and the rest is judged", () => {
    const report = reportOf([create, join], { keys: [] });
    expect(report.events.map(({ signature }) => signature)).toEqual(["unknown-key", "unknown-key"]);
    expect(verdictsOf(report)).toEqual({ [idOf(create)]: "accepted", [idOf(join)]: "accepted" });
    expect(report.disagreements).toEqual([]);
  });

  it("lists what is no PDU", () => {
    const report = reportOf([create, { ...join, depth: "1" }, { ...rules, event_id: "$x", content: 1 }]);
    expect(report.malformed).toMatchObject([
      { where: "[1]", givenId: undefined, refusal: { code: "bad_format" } },
      { where: "[2]", givenId: "$x", refusal: { events: ["$x"] } },
    ]);
    expect(report.counts.get("malformed")).toBe(2);
    expect(kindsOf(report)).toEqual([
      ["malformed", undefined],
      ["malformed", "$x"],
    ]);
  });

  it("floats have no place from version 6 on", () => {
    const dump = readDump(JSON.stringify([create]).replace('"depth":1', '"depth":1,"x":1.5'));
    const report = dump.ok ? checkRoom(dump.value) : dump;
    expect(report.ok && report.value.malformed).toMatchObject([{ where: "[0]", refusal: { code: "bad_json" } }]);
  });

  it("a cycle of citations is refused, not walked for ever", () => {
    const event = (id: string, other: string): object => ({
      type: "m.room.message",
      sender: alice,
      room_id: "!room:a.example",
      event_id: id,
      content: {},
      depth: 1,
      origin_server_ts: 1,
      hashes: { sha256: "" },
      signatures: {},
      prev_events: [[other, {}]],
      auth_events: [],
    });
    const report = reportOf([event("$a:a.example", "$b:a.example"), event("$b:a.example", "$a:a.example")], {
      roomVersion: "1",
    });
    expect(report.events.map(({ verdict }) => verdict)).toMatchObject([
      { verdict: "malformed", refusal: { code: "cycle" } },
      { verdict: "malformed", refusal: { code: "cycle" } },
    ]);
  });
});

describe("copies", () => {
  const changed = { ...message, content: { body: "changed" } };
  const { body: _body, ...emptied } = message["content"] as JsonObject;
  const redacted = { ...message, content: emptied };

  it("a redacted event is no disagreement", () => {
    const report = reportOf([create, join, rules, redacted]);
    const expected = { hash: "redacted", signature: "verified", verdict: { verdict: "accepted" } };
    expect(report.events.at(-1)).toMatchObject(expected);
    expect(report.disagreements).toEqual([]);
  });

  it("content that the hash does not fit is judged as redacted, and reported", () => {
    const report = reportOf([create, join, rules, changed]);
    expect(report.events.at(-1)).toMatchObject({ hash: "mismatch", verdict: { verdict: "accepted" } });
    expect(report.replay.pdu(idOf(message))?.content).toEqual({});
    expect(kindsOf(report)).toEqual([["hash", idOf(message)]]);
  });

  it("the copy that fits judges, whatever the order, and the other is reported", () => {
    for (const copies of [
      [message, changed],
      [changed, message],
    ]) {
      const report = reportOf([create, join, rules, ...copies]);
      expect(report.events).toHaveLength(4);
      expect(report.events.at(-1)).toMatchObject({ hash: "matches" });
      expect(report.replay.pdu(idOf(message))?.content).toEqual({ body: "hello" });
      expect(kindsOf(report)).toEqual([["hash", idOf(message)]]);
    }
  });

  it("an id that the file gives and that is not the event's is reported", () => {
    const report = reportOf([create, { ...join, event_id: "$other" }]);
    expect(kindsOf(report)).toEqual([["id", idOf(join)]]);
    expect(report.disagreements[0]?.reason).toBe("the file calls it $other");
  });
});

describe("gaps", () => {
  it("events whose ancestors are absent are undecided, naming them", () => {
    const report = reportOf([create, join, message], { roomVersion: "10" });
    expect(report.events.at(-1)?.verdict).toMatchObject({ verdict: "undecided", events: [idOf(rules)], keys: [] });
  });

  it("are rejected all the same when their auth events refuse them", () => {
    const report = reportOf([create, intruder]);
    expect(report.events.at(-1)?.verdict).toMatchObject({ verdict: "rejected-by-auth-events" });
  });

  it("parts of a state are judged by their auth events alone", () => {
    const report = reportOf({ pdus: [rules], auth_chain: [create, join] });
    const found = report.events.find(({ eventId }) => eventId === idOf(rules));
    expect(found?.verdict).toMatchObject({ verdict: "accepted", basis: "state-before" });
    const gap = reportOf({ pdus: [message], auth_chain: [create, join] }, { roomVersion: "10" });
    expect(gap.events.at(-1)?.verdict).toMatchObject({ verdict: "accepted", basis: "auth-events" });
  });

  it("the recorded state serves where ancestors are absent, and is compared where they are not", () => {
    const room = new RoomMaker();
    const auth = [create, join];
    const name = room.make({ type: "m.room.name", stateKey: "", content: { name: "x" }, after: [message], auth });
    const next = room.make({ type: "m.room.message", after: [name], auth });
    const body = { state: [create, join, rules], auth_chain: [create], event: name, event_id: idOf(name) };
    const report = reportOf({ send_join: body, timeline: [next] });
    expect(report.events.map(({ verdict }) => "basis" in verdict && verdict.basis).slice(-2)).toEqual([
      "recorded-state",
      "state-before",
    ]);
    expect(report.comparisons).toMatchObject([{ outcome: { outcome: "used" } }]);
    expect(report.tips).toEqual([idOf(next)]);
    expect(report.state?.map(({ eventId }) => eventId)).toContain(idOf(name));

    const whole = reportOf({ send_join: body, timeline: [message, next] });
    expect(whole.comparisons).toMatchObject([{ outcome: { outcome: "agrees", size: 3 } }]);
    const wrong = reportOf({ send_join: { ...body, state: [create, join] }, timeline: [rules, message, next] });
    const difference = { outcome: "differs", computed: [idOf(rules)], recorded: [] };
    expect(wrong.comparisons).toMatchObject([{ outcome: difference }]);
    expect(kindsOf(wrong)).toEqual([["state", idOf(name)]]);
  });

  it("a recorded state before an event that is not there is a disagreement", () => {
    const report = reportOf({ timeline: [create], last_event_id: "$gone", state_ids_at_last: [idOf(create)] });
    expect(report.comparisons).toMatchObject([{ outcome: { outcome: "not-compared" } }]);
    expect(kindsOf(report)).toEqual([["state", "$gone"]]);
  });

  it("a recorded state that holds a later event is wrong, and makes no cycle", () => {
    const report = reportOf({
      timeline: [rules, message],
      last_event_id: idOf(rules),
      state_ids_at_last: [idOf(message)],
      room_version: "10",
    });
    expect(Object.values(verdictsOf(report))).toEqual(["undecided", "undecided"]);
  });
});

describe("forks", () => {
  const room = new RoomMaker();
  const auth = [create, join];
  const left = room.make({ type: "m.room.name", stateKey: "", content: { name: "left" }, after: [rules], auth });
  const right = room.make({ type: "m.room.name", stateKey: "", content: { name: "right" }, after: [rules], auth });
  const merge = room.make({ type: "m.room.message", after: [left, right], auth });
  const report = reportOf([create, join, rules, left, right, merge]);

  it("are resolved before the event that joins them, and told apart from plain history", () => {
    expect(report.forks).toEqual([{ before: idOf(merge), parents: report.replay.pdu(idOf(merge))?.prevEvents }]);
    const names = report.state?.filter(({ type }) => type === "m.room.name").map(({ eventId }) => eventId);
    expect(names).toEqual([idOf(right)]);
  });

  it("are resolved at the tips when nothing joins them", () => {
    const open = reportOf([create, join, rules, left, right]);
    expect(open.tips).toEqual([idOf(left), idOf(right)].sort());
    expect(open.forks).toEqual([{ before: undefined, parents: open.tips }]);
    expect(open.state).toEqual(report.state);
  });

  it("[cap:partition-merge v:10] explain who won and by what", () => {
    const explained = explainEvent(report, idOf(left));
    if (!explained.ok) throw new Error(explained.error.reason);
    expect(explained.value.fates).toMatchObject([
      {
        algorithm: "v2",
        check: { phase: "mainline", verdict: "allowed" },
        outcome: {
          winner: idOf(right),
          lost: [{ eventId: idOf(left), because: { why: "overwritten", by: idOf(right) } }],
        },
      },
    ]);
    const text = formatExplanation(explained.value);
    expect(text).toContain(`not ${idOf(left)}: allowed, and then replaced by ${idOf(right)}`);
    expect(formatTraces(report)).toContain("algorithm v2, 3 keys unconflicted, 1 in conflict");
    expect(plainReport(report, { trace: true }).forks).toMatchObject([{ trace: { algorithm: "v2" } }]);
    expect(JSON.parse(JSON.stringify(plainReport(report)))).toMatchObject({ agrees: true, counts: { accepted: 6 } });
  });
});

describe("requests", () => {
  const request = { op: "resolve", room_version: "10", state_sets: [[idOf(create)]], events: [create] };

  it("are resolved and compared with what is expected", () => {
    expect(reportOf({ ...request, expect: { ok: [idOf(create)] } })).toMatchObject({
      request: { outcome: "resolved", agreement: { outcome: "agrees" } },
      disagreements: [],
    });
    expect(kindsOf(reportOf({ ...request, expect: { ok: [] } }))).toEqual([["state", undefined]]);
  });

  it("with a state of events that are not there are refused", () => {
    const report = reportOf({ ...request, state_sets: [["$gone"]] });
    expect(report.request).toMatchObject({ outcome: "refused", refusal: { events: ["$gone"] } });
  });
});

describe("explanations", () => {
  const report = reportOf([create, join, rules, intruder]);

  it("name the auth events, the state consulted and the rule", () => {
    const explained = explainEvent(report, idOf(intruder));
    expect(explained).toMatchObject({
      ok: true,
      value: {
        authEvents: [{ eventId: idOf(create), type: "m.room.create", verdict: "accepted" }],
        prevEvents: [{ eventId: idOf(rules), verdict: "accepted" }],
        stateKnown: true,
        consulted: [
          { type: "m.room.create", inState: idOf(create), cited: idOf(create) },
          { type: "m.room.power_levels", inState: undefined, cited: undefined },
          { type: "m.room.member", stateKey: bob, inState: undefined },
        ],
      },
    });
    expect(explained.ok && formatExplanation(explained.value)).toContain("v10 rule 5: @bob:a.example is not joined");
  });

  it("take the beginning of an id where no other begins so", () => {
    const id = idOf(create);
    for (const start of [id.slice(0, 12), `${id.slice(0, 12)}…`]) {
      expect(explainEvent(report, start)).toMatchObject({ ok: true, value: { event: { eventId: id } } });
    }
    for (const start of ["$", id.slice(0, 3), ""]) expect(explainEvent(report, start).ok).toBe(false);
  });

  it("of an event that is not there, or that is no PDU, say so", () => {
    expect(explainEvent(report, "$gone")).toMatchObject({ ok: false, error: { code: "bad_format" } });
    const broken = reportOf([create, { ...join, event_id: "$bad", depth: -1 }]);
    expect(explainEvent(broken, "$bad")).toMatchObject({
      ok: false,
      error: { reason: expect.stringContaining("depth") as string },
    });
    const misnamed = reportOf([create, { ...join, event_id: "$other" }]);
    expect(explainEvent(misnamed, "$other")).toMatchObject({
      ok: false,
      error: { reason: expect.stringContaining(idOf(join)) as string },
    });
  });
});

describe("text", () => {
  it("shows each refusal with its rule and the events", () => {
    const text = formatReport("room.json", reportOf([create, join, rules, intruder]));
    expect(text).toContain("room.json: room version 10, !room:a.example");
    expect(text).toContain("4 events: 3 accepted, 1 rejected-by-auth-events");
    expect(text).toContain(`  ${idOf(intruder)}  m.room.name, by @bob:a.example`);
    expect(text).toContain("rejected-by-auth-events, v10 rule 5: @bob:a.example is not joined");
    expect(text).toContain("1 disagreement found.");
    expect(text).not.toContain("\u001b");
    expect(formatReport("room.json", reportOf([create]), { colour: true })).toContain("\u001b[32mNo disagreement");
  });

  it("is one line in a summary", () => {
    const good = reportOf([create]);
    const bad = reportOf([create, join, intruder]);
    expect(formatSummary("a.json", good)).toMatch(/^a\.json +version 10 +1 event {2}1 accepted +1 signature verified/);
    expect(formatSummary("a.json", bad)).toMatch(/1 disagreement$/);
    expect(formatClosing([good, good], 0)).toMatch(/^All 2 files agree\. 2 events of room version 10: /);
    expect(formatClosing([good, good], 0)).toContain("2 signatures verified");
    expect(formatClosing([good, bad], 1)).toMatch(/^1 of 2 files disagrees\. .* 1 file could not be checked\.$/);
    expect(formatClosing([], 2)).toBe("2 files could not be checked.");
  });

  it("does not let an event steer the terminal", () => {
    const room = new RoomMaker();
    const type = "m.\u001b[2J\u202ename";
    const evil = room.make({ type, stateKey: "\u009b1m\n", after: [rules], auth: [create, join] });
    const text = formatReport("x", reportOf([create, join, rules, evil]));
    expect(text).toContain("m.\\u001b[2J\\u202ename  \\u009b1m\\u000a");

    expect(text.replaceAll("\n", "")).not.toMatch(/[\u0000-\u001f\u007f-\u009f\u202e]/);
    expect(printable("é 😀")).toBe("é 😀");
  });
});

describe("keys and versions", () => {
  it("are read from tables and from answers of key servers", () => {
    const key = (keys["a.example"] as JsonObject)["ed25519:1"] as string;
    const answer = {
      server_name: "a.example",
      valid_until_ts: 5000,
      verify_keys: { "ed25519:new": { key } },
      old_verify_keys: { "ed25519:old": { key, expired_ts: 7 } },
    };
    for (const source of [answer, { server_keys: [answer] }]) {
      const lookup = keyLookup([source]);
      expect(lookup("a.example", "ed25519:new")).toMatchObject({ validUntilTs: 5000 });
      expect(lookup("a.example", "ed25519:old")).toMatchObject({ validUntilTs: 7 });
      expect(lookup("a.example", "ed25519:1")).toBeUndefined();
    }
    expect(keyLookup([keys, answer])("a.example", "ed25519:1")?.key).toHaveLength(32);
  });

  it("that are missing or unknown are refused", () => {
    expect(checkRoom(dumpOf([message]))).toMatchObject({ ok: false, error: { code: "unknown_room_version" } });
    expect(checkRoom(dumpOf([message], { roomVersion: "99" }))).toMatchObject({
      ok: false,
      error: { code: "unknown_room_version" },
    });
  });

  it("progress is told from start to end", () => {
    const seen: number[] = [];
    reportOf([create, join, rules], { progress: (done, total) => seen.push(done / total) });
    expect(seen).toEqual([...seen].sort((a, b) => a - b));
    expect(seen.at(-1)).toBe(1);
  });
});
