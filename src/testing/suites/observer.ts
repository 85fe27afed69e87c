/** The promises of an observer. */
import type { Refusal } from "../../errors.js";
import type { Awaitable } from "../../ports/cancel.js";
import type { LostState, Metric, Observer, StateCause, StateChange } from "../../ports/observer.js";
import type { Receipt, Verdict } from "../../ports/verdict.js";
import { deepFreeze, expectEqual, flush, portCheck, show, unkept } from "./check.js";
import type { PortCheck } from "./check.js";

/** How the checks get at observers. */
export interface ObserverHost {
  readonly create: () => Awaitable<Observer>;
}

const refusal: Refusal = { code: "auth_rejected", rule: "v11 rule 5", reason: "not in the room", events: ["$a"] };

/** At least one value of each kind that a union has: what lacks a kind does not compile. */
type EachKind<Union extends object, Tag extends keyof Union> = {
  readonly [Kind in Union[Tag] & string]: OneOrMore<Extract<Union, Readonly<Record<Tag, Kind>>>>;
};
type OneOrMore<T> = readonly [T, ...(readonly T[])];

function verdicts(): readonly Verdict[] {
  const eventId = "$a";
  const each: EachKind<Verdict, "verdict"> = {
    accepted: [
      { verdict: "accepted", eventId, rule: "v11 rule 10", basis: "state-before", redacted: false },
      { verdict: "accepted", eventId, rule: "v11 rule 10", basis: "auth-events", redacted: true },
    ],
    "soft-failed": [{ verdict: "soft-failed", eventId, refusal }],
    "policy-refused": [{ verdict: "policy-refused", eventId, refusal }],
    "not-recommended": [{ verdict: "not-recommended", eventId, refusal }],
    "rejected-by-auth-events": [{ verdict: "rejected-by-auth-events", eventId, refusal }],
    "rejected-by-state": [{ verdict: "rejected-by-state", eventId, refusal }],
    "rejected-for-size": [{ verdict: "rejected-for-size", eventId, refusal }],
    pending: [{ verdict: "pending", eventId, waitsFor: ["$b", "$c"] }],
    malformed: [{ verdict: "malformed", refusal: { code: "bad_format", reason: "no object", events: [] } }],
    "bad-signature": [{ verdict: "bad-signature", eventId, refusal }],
    unverifiable: [{ verdict: "unverifiable", eventId, refusal }],
  };
  return Object.values(each).flat();
}

function changes(): readonly StateChange[] {
  const lost: LostState = {
    type: "m.room.topic",
    stateKey: "",
    eventId: "$t",
    to: undefined,
    because: { why: "refused", refusal },
    kind: "rollback",
  };
  const reset: LostState = { ...lost, to: "$u", because: undefined, kind: "reset" };
  const [events, extremities] = [["$a"], ["$a", "$b"]];
  const causes: EachKind<StateCause, "cause"> = {
    advance: [{ cause: "advance", events }],
    merge: [{ cause: "merge", events, extremities }],
    rollback: [{ cause: "rollback", events, extremities, lost: [lost, reset] }],
    completion: [{ cause: "completion", events }],
    "late-decision": [{ cause: "late-decision", events, extremities }],
  };
  const differences = [
    { type: "m.room.topic", stateKey: "", before: "$t", after: undefined },
    { type: "m.room.member", stateKey: "@a:x.example", before: undefined, after: "$m" },
  ];
  return Object.values(causes)
    .flat()
    .map((cause) => ({ roomId: "!r:x.example", differences, cause }));
}

const metricNames: { readonly [Name in Metric["name"]]: Name } = {
  "room.commit.events": "room.commit.events",
  "room.commit.conflict": "room.commit.conflict",
  "room.extremities": "room.extremities",
  "room.pending": "room.pending",
  "room.pending.evicted": "room.pending.evicted",
  "room.gap": "room.gap",
  "room.completion.failed": "room.completion.failed",
  "room.resolution.states": "room.resolution.states",
  "fetch.requests": "fetch.requests",
  "outbox.sent": "outbox.sent",
  "outbox.failed": "outbox.failed",
  "outbox.collapsed": "outbox.collapsed",
};

function metrics(): readonly Metric[] {
  return Object.values(metricNames).flatMap((name) => [
    { name, value: 0 },
    { name, value: 12, roomId: "!r:x.example", server: "x.example" },
  ]);
}

const thrown: readonly unknown[] = [new Error("x"), "text", undefined, null, { code: 1 }, Symbol("s"), 7n];

/** Every call that an observer may get, with what it answers. */
function calls(observer: Observer): readonly (readonly [what: string, argument: unknown, answer: () => unknown])[] {
  const context = { roomId: "!r:x.example", origin: "x.example" };
  const receipts: readonly Receipt[] = verdicts().flatMap((verdict) =>
    [true, false].map((duplicate) => ({ verdict, duplicate })),
  );
  const faults = thrown.flatMap((error) => [
    { where: "observer", error },
    { where: "subscriber", error, refusal },
  ]);
  return [
    ...receipts.map((each) => [`receipt ${show(each)}`, each, () => observer.onReceipt?.(each, context)] as const),
    ...changes().map((each) => [`change ${show(each)}`, each, () => observer.onStateChange?.(each)] as const),
    ...metrics().map((each) => [`metric ${show(each)}`, each, () => observer.onMetric?.(each)] as const),
    ...faults.map((each) => [`fault of ${typeof each.error}`, each, () => observer.onFault?.(each)] as const),
  ];
}

/** The checks of an observer. */
export function observerSuite(host: ObserverHost): readonly PortCheck[] {
  const check = (name: string, body: (observer: Observer) => Promise<void>): PortCheck =>
    portCheck(name, async () => body(await host.create()));

  return [
    check("it takes every kind of receipt, state change, metric and fault", async (observer) => {
      for (const [what, , call] of calls(observer)) {
        try {
          call();
        } catch (error) {
          unkept(`${what}: it threw ${show(error instanceof Error ? error.message : error)}`);
        }
      }
      await flush();
    }),
    check("it answers nothing: a promise that fails would be nobody's", (observer) => {
      for (const [what, , call] of calls(observer)) {
        const answer = call();
        if (answer instanceof Promise) answer.catch(() => undefined);
        if (answer !== undefined) unkept(`${what}: it answered ${show(answer)}`);
      }
      return Promise.resolve();
    }),
    check("what it is told stays as it is", async (observer) => {
      const told = calls(observer);
      for (const [, , call] of told) call();
      await flush();
      const afresh = calls({});
      for (const [at, [what, argument]] of told.entries()) {
        if (!what.startsWith("fault")) expectEqual(argument, afresh[at]?.[1], `${what} afterwards`);
      }
      for (const [, argument, call] of calls(observer)) {
        if (typeof argument === "object" && argument !== null && !("error" in argument)) deepFreeze(argument);
        call();
      }
    }),
    check("it keeps up with very many events", async (observer) => {
      const [receipt] = verdicts();
      if (receipt === undefined) unkept("there are no verdicts");
      for (let count = 0; count < 20_000; count++) {
        observer.onReceipt?.({ verdict: receipt, duplicate: false }, { roomId: "!r:x.example", origin: "x.example" });
        observer.onMetric?.({ name: "room.pending", value: count, roomId: "!r:x.example" });
      }
      await flush();
    }),
  ];
}
