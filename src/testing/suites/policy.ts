/** The promises of a policy. */
import { UsageError } from "../../errors.js";
import { parsePdu } from "../../event/format.js";
import type { Pdu } from "../../event/pdu.js";
import type { Awaitable } from "../../ports/cancel.js";
import type {
  EventAttempt,
  InviteAttempt,
  InviteBlocked,
  JoinAttempt,
  LimitExceeded,
  Policy,
  PolicyRefusal,
  RecommendationAttempt,
} from "../../ports/policy.js";
import { v11 } from "../../versions/v11.js";
import { deepFreeze, expectEqual, expectTrue, portCheck, show, testCancel, unkept } from "./check.js";
import type { PortCheck } from "./check.js";

/** What a policy may be asked about. */
export interface PolicyAttempts {
  readonly invites?: readonly InviteAttempt[];
  readonly joins?: readonly JoinAttempt[];
  readonly events?: readonly EventAttempt[];
  readonly recommendations?: readonly RecommendationAttempt[];
  readonly servers?: readonly string[];
}

/** How the checks get at policies. */
export interface PolicyHost {
  readonly create: () => Awaitable<Policy>;
  /** What this policy has to refuse. */
  readonly refused?: PolicyAttempts;
  /** What this policy must let through. */
  readonly allowed?: PolicyAttempts;
}

type Verdict = Awaitable<PolicyRefusal | InviteBlocked | LimitExceeded | undefined>;

/** Everything asked, one question after the other. A hook that is absent refuses nothing. */
function questions(policy: Policy, attempts: PolicyAttempts): readonly (readonly [what: string, ask: () => Verdict])[] {
  const { invites = [], joins = [], events = [], recommendations = [], servers = [] } = attempts;
  return [
    ...invites.map((each) => [`invite ${show(each)}`, () => policy.checkInvite?.(each, testCancel())] as const),
    ...joins.map((each) => [`join ${show(each)}`, () => policy.checkJoin?.(each, testCancel())] as const),
    ...events.map((each) => [`event ${show(each.event.json)}`, () => policy.checkEvent?.(each, testCancel())] as const),
    ...recommendations.map(
      (each) =>
        [`recommendation ${show(each.event.json)}`, () => policy.checkRecommendation?.(each, testCancel())] as const,
    ),
    ...servers.map((each) => [`server ${show(each)}`, () => policy.checkServer?.(each, testCancel())] as const),
  ];
}

/** The checks of a policy. */
export function policySuite(host: PolicyHost): readonly PortCheck[] {
  const { refused = {}, allowed = {} } = host;
  const check = (name: string, body: (policy: Policy) => Promise<void>): PortCheck =>
    portCheck(name, async () => body(await host.create()));

  return [
    check("what it has to refuse is refused", async (policy) => {
      for (const [what, ask] of questions(policy, refused)) {
        if ((await ask()) === undefined) unkept(`${what} was not refused`);
      }
    }),
    check("what it must let through is not refused", async (policy) => {
      for (const [what, ask] of questions(policy, allowed)) {
        const refusal = await ask();
        if (refusal !== undefined) unkept(`${what} was refused: ${show(refusal)}`);
      }
    }),
    check("an answer is `undefined`, or a code in lower case with a reason, whatever is asked", async (policy) => {
      for (const attempts of [refused, allowed, strange()]) {
        for (const [what, ask] of questions(policy, attempts)) expectRefusalOrNothing(await ask(), what);
      }
    }),
    check("what it is asked about stays as it is", async (policy) => {
      for (const [, ask] of questions(policy, deepFreeze(strange()))) await ask();
      const attempts = strange();
      for (const [, ask] of questions(policy, attempts)) await ask();
      expectEqual(attempts, strange(), "attempts after they were judged");
    }),
    check("many questions at once are answered each for itself", async (policy) => {
      const no = questions(policy, refused);
      const yes = questions(policy, allowed);
      const asked = [...no, ...yes, ...no].map(async ([, ask]) => (await ask()) !== undefined);
      const wanted = [...no.map(() => true), ...yes.map(() => false), ...no.map(() => true)];
      expectEqual(await Promise.all(asked), wanted, "which attempts were refused");
    }),
  ];
}

function expectRefusalOrNothing(answer: unknown, what: string): void {
  if (answer === undefined) return;
  if (typeof answer !== "object" || answer === null || !("code" in answer) || !("reason" in answer)) {
    unkept(`${what} was answered with ${show(answer)}, which is no refusal`);
  }
  const { code, reason } = answer;
  expectTrue(typeof code === "string" && /^[a-z][a-z0-9_.-]*$/.test(code), `${what}: the code is ${show(code)}`);
  expectTrue(typeof reason === "string" && reason.length > 0, `${what}: the reason is ${show(reason)}`);
  expectKnownForm(answer, what);
}

/** Hooks that can only answer `policy_refused`. */
const ONE_FORM = /^(?:event|recommendation) /;

/** What is answered to other servers in another form than `policy_refused`. */
function expectKnownForm(answer: object, what: string): void {
  const form = "as" in answer ? answer.as : undefined;
  if (form === undefined || (form === "invite_blocked" && what.startsWith("invite "))) return;
  expectTrue(form === "limit_exceeded" && !ONE_FORM.test(what), `${what}: it is refused as ${show(form)}`);
  const after = "retryAfterMs" in answer ? answer.retryAfterMs : undefined;
  expectTrue(typeof after === "number" && after >= 0 && after < Infinity, `${what}: retryAfterMs is ${show(after)}`);
}

/** Attempts that the rules allow and that nobody expects. */
function strange(): PolicyAttempts {
  const names = [
    "@:x.example",
    "@__proto__:constructor",
    `@${"a".repeat(200)}:x.example`,
    "@a:[::1]:8448",
    "@é:1.2.3.4",
  ];
  const state = [{ type: "m.room.create", state_key: "", sender: "@a:x.example", content: {} }];
  const contents = [
    {},
    { body: 7 },
    { body: null, formatted_body: [] },
    JSON.parse('{"__proto__":{"polluted":true}}') as object,
  ];
  const events = contents.map((content) => ({ event: messageOf(content), roomVersion: "11", origin: "x.example" }));
  return {
    invites: names.map((sender) => ({
      roomId: "!r:x.example",
      roomVersion: "11",
      sender,
      target: "@b:y.example",
      state,
    })),
    joins: names.flatMap((userId) =>
      (["join", "knock"] as const).map((membership) => ({ roomId: "!r:x.example", userId, membership })),
    ),
    events,
    recommendations: events.map((attempt) => ({ ...attempt, origin: "y.example" })),
    servers: ["x.example", "", "__proto__", "[::1]:8448", "X.EXAMPLE"],
  };
}

function messageOf(content: object): Pdu {
  const parsed = parsePdu(v11.rules, {
    type: "m.room.message",
    room_id: "!r:x.example",
    sender: "@a:x.example",
    content,
    hashes: { sha256: "AAAA" },
    signatures: {},
    depth: 1,
    origin_server_ts: 1,
    auth_events: [],
    prev_events: [],
  });
  if (!parsed.ok) throw new UsageError(parsed.error.reason);
  return parsed.value;
}
