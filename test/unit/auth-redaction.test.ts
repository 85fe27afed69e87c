/** Applying redactions: at once, held for their target, or never (spec, "Handling redactions"; digest RX3 to RX5). */
import { describe, expect, it } from "vitest";
import { checkRedactionEffect, holdRedaction, releaseRedactions } from "../../src/auth/index.js";
import type { HeldRedactions, RedactionVerdict } from "../../src/auth/index.js";
import type { JsonObject } from "../../src/json/value.js";
import { alice, bob, carol, creator, everyVersion, isOneOf, room, versions } from "../support/auth.js";
import type { Draft, RoomSketch } from "../support/auth.js";

const redaction: Draft = { type: "m.room.redaction", sender: alice, redacts: "$target" };
const target: Draft = { type: "m.room.message", sender: carol, eventId: "$target" };

function effect(version: string, sketch: RoomSketch, by: Draft = redaction, of: Draft = target): RedactionVerdict {
  const here = room(version, sketch);
  return checkRedactionEffect(here.rules, here.event(by), here.event(of), here.state);
}

function expectIgnored(verdict: RedactionVerdict, events: readonly string[] = ["$event", "$target"]): void {
  const refusal = verdict.verdict === "ignore" ? verdict.refusal : undefined;
  expect({ ...refusal, verdict: verdict.verdict, reason: "" }).toEqual({
    verdict: "ignore",
    code: "auth_rejected",
    rule: "v3 Handling redactions",
    reason: "",
    events,
  });
  expect(refusal?.reason).toMatch(/\S+ \S+/);
}

const applied: RedactionVerdict = { verdict: "apply", target: "$target" };
const levels = (level: number, more: JsonObject = {}): RoomSketch => ({
  levels: { users: { [alice]: level }, ...more },
});

describe.each(everyVersion)("a redaction [cap:redaction-apply v:%s]", (version) => {
  const here = room(version, levels(100));

  it("is held while its target is not here", () => {
    const missing = checkRedactionEffect(here.rules, here.event(redaction), undefined, here.state);
    expect(missing).toEqual({ verdict: "hold", needs: ["$target"] });
  });

  it("is applied to another server's event by who has the redact level", () => {
    expect(effect(version, levels(50))).toEqual(applied);
    expect(effect(version, levels(30, { redact: 30 }))).toEqual(applied);
  });

  it("is ignored where it names no event", () => {
    const nameless: Draft = { type: "m.room.redaction", sender: alice };
    const event = here.event(nameless);
    expectIgnored(checkRedactionEffect(here.rules, event, undefined, here.state), ["$event"]);
    expectIgnored(checkRedactionEffect(here.rules, event, here.event(target), here.state), ["$event"]);
  });

  it("is ignored in another room", () => {
    expectIgnored(effect(version, levels(100), redaction, { ...target, roomId: "!other:here.example" }));
    expectIgnored(effect(version, levels(100), redaction, { ...target, sender: alice, roomId: "!other" }));
  });

  it("is ignored for a create event, of either state key", () => {
    for (const stateKey of ["", "x"]) {
      expectIgnored(effect(version, levels(100), redaction, { ...target, type: "m.room.create", stateKey }));
    }
  });
});

describe.each(versions("3-12,I.1"))("who may redact [cap:redaction-apply v:%s]", (version) => {
  it("is whoever has the redact level", () => {
    expectIgnored(effect(version, levels(49)));
    expectIgnored(effect(version, levels(29, { redact: 30 })));
    expectIgnored(effect(version, {}));
  });

  it("is anybody of the target's server, named by what follows the first colon", () => {
    expect(effect(version, levels(0), redaction, { ...target, sender: bob })).toEqual(applied);
    expectIgnored(effect(version, levels(0), redaction, { ...target, sender: "@bob:x:here.example" }));
    expectIgnored(effect(version, levels(0), redaction, { ...target, sender: "@bob:here.example:8448" }));
    const ported = { ...redaction, sender: "@a:other:8448" };
    expectIgnored(effect(version, levels(0), ported, { ...target, sender: "@a:victim:8448" }));
  });

  it("is nobody by two senders without a domain", () => {
    expectIgnored(effect(version, levels(0), { ...redaction, sender: "@a" }, { ...target, sender: "@b" }));
  });

  it("includes the creator, at 100 without power levels and for good in room version 12", () => {
    const byCreator = { ...redaction, sender: creator };
    expect(effect(version, {}, byCreator)).toEqual(applied);
    const verdict = effect(version, { levels: { redact: 9_007_199_254_740_991 } }, byCreator);
    if (version === "12") expect(verdict).toEqual(applied);
    else expectIgnored(verdict);
  });

  it("is, in a state without a create event, only the target's own server", () => {
    const here = room(version, levels(100));
    const none = (): undefined => undefined;
    expectIgnored(checkRedactionEffect(here.rules, here.event(redaction), here.event(target), none));
    const own = here.event({ ...target, sender: bob });
    expect(checkRedactionEffect(here.rules, here.event(redaction), own, none)).toEqual(applied);
  });

  it("is nobody above a redact level that cannot be read", () => {
    expectIgnored(effect(version, levels(100, { redact: null })));
  });
});

describe.each(versions("1-2"))("a redaction that rule 11 has judged [cap:redaction-apply v:%s]", (version) => {
  it("is applied without another look at levels or servers", () => {
    expect(isOneOf(version, "1-2")).toBe(true);
    expect(effect(version, levels(0))).toEqual(applied);
  });
});

describe("held redactions [cap:redaction-apply]", () => {
  const empty: HeldRedactions = new Map();

  it("wait in order for their own target and are released once", () => {
    const held = holdRedaction(holdRedaction(holdRedaction(empty, "$t", "$a"), "$u", "$c"), "$t", "$b");
    const released = releaseRedactions(held, "$t");
    expect(released.redactions).toEqual(["$a", "$b"]);
    expect([...released.held]).toEqual([["$u", ["$c"]]]);
    const again = releaseRedactions(released.held, "$t");
    expect(again.redactions).toEqual([]);
    expect(again.held).toBe(released.held);
  });

  it("are held once each", () => {
    const held = holdRedaction(empty, "$t", "$a");
    expect(holdRedaction(held, "$t", "$a")).toBe(held);
    expect([...held]).toEqual([["$t", ["$a"]]]);
  });

  it("leave the map they were given as it was", () => {
    const held = holdRedaction(empty, "$t", "$a");
    holdRedaction(held, "$t", "$b");
    releaseRedactions(held, "$t");
    expect([...held]).toEqual([["$t", ["$a"]]]);
    expect(empty.size).toBe(0);
  });

  it("take ids that objects inherit as data", () => {
    expect(releaseRedactions(empty, "constructor").redactions).toEqual([]);
    expect(releaseRedactions(holdRedaction(empty, "__proto__", "$a"), "__proto__").redactions).toEqual(["$a"]);
  });
});
