/** Laws of the authorisation rules. */
import fc from "fast-check";
import type { Arbitrary } from "fast-check";
import { get, isArray } from "../json/value.js";
import type { JsonObject } from "../json/value.js";
import type { RoomVersionRules } from "../rules/model.js";
import type { RoomVersionRegistry } from "../versions/registry.js";
import { judgedLaws } from "./auth-cases.js";
import type { Judged } from "./auth-cases.js";
import { canonicalText } from "./canonical-text.js";
import { withKeys } from "./forge.js";
import type { TestRoom } from "./interpret.js";
import { ask, broken, salts, shuffle, shuffleKeys, versionLaw } from "./laws.js";
import type { Law } from "./laws.js";
import { arbRoom, citedBy, eventWithId, versionOf } from "./room.js";
import { authRequest } from "./stage.js";
import type { AuthRequest } from "./stage.js";

/** An implementation under test: whether the event is allowed, at once or later. */
export type Check = (request: AuthRequest) => boolean | Promise<boolean>;

/**
 * Laws of the authorisation rules in every room version (spec: each version's "Authorisation rules"),
 * for any implementation. `check` gets an event and the events that it cites, each with the `event_id`
 * that is to be taken as given, and answers whether the event is allowed by them. The signatures of
 * the event and of the server that authorises a restricted join count as valid. Points on which
 * implementations differ with good reason are left out.
 *
 * ```ts
 * for (const law of authLaws(check)) it(law.name, () => law.run());
 * ```
 */
export function authLaws(check: Check): readonly Law[] {
  return [
    versionLaw(
      "authorisation: every event of a valid room is allowed by the events that it cites",
      (version, registry) =>
        arbRoom(version, { registry }).map((room) => requestsOf(room, versionOf(version, registry).rules)),
      async (requests) => {
        for (const request of requests)
          await expectVerdict(check, { request, allowed: true, because: "the room is valid" });
      },
    ),
    ...judgedLaws.map(({ name, cases }) =>
      versionLaw(
        `authorisation: ${name}`,
        (version, registry) => cases(versionOf(version, registry).rules),
        (judged) => expectVerdict(check, judged),
      ),
    ),
    ...changes.map(({ name, change }) =>
      versionLaw(
        `authorisation: ${name} does not matter`,
        (version, registry) => fc.record({ request: anyRequest(version, registry), salt: salts }),
        async ({ request, salt }) => {
          const changed = change(request, salt);
          const before = await ask(() => check(request), request);
          const after = await ask(() => check(changed), changed);
          if (before !== after) broken(`it answered ${before}, then ${after}`, { request, changed });
        },
      ),
    ),
    versionLaw("authorisation: the request is not modified", anyRequest, async (request) => {
      const copy = JSON.parse(JSON.stringify(request)) as AuthRequest;
      await ask(() => check(copy), request);
      if (canonicalText(copy) !== canonicalText(request)) broken("it changed the request", request);
    }),
  ];
}

async function expectVerdict(check: Check, { request, allowed, because }: Judged): Promise<void> {
  const answer = await ask(() => check(request), request);
  if (answer !== allowed) broken(`it ${answer ? "allowed" : "refused"} the event, but ${because}`, request);
}

function requestsOf(room: TestRoom, rules: RoomVersionRules): readonly AuthRequest[] {
  const byId = new Map(room.events.map((event) => [event.eventId, eventWithId(event)]));
  const create = [...byId.values()][0] ?? {};
  return [...byId.values()].map((event) => {
    const cited = citedBy(event).map((id) => byId.get(id));
    return authRequest(
      rules,
      event,
      cited.filter((other) => other !== undefined),
      create,
    );
  });
}

/** Requests that are allowed and requests that are not. */
function anyRequest(version: string, registry: RoomVersionRegistry): Arbitrary<AuthRequest> {
  const { rules } = versionOf(version, registry);
  const ofRoom = fc
    .record({ room: arbRoom(version, { registry, maxSteps: 20 }), at: fc.nat(60) })
    .map(({ room, at }) => requestsOf(room, rules).at(-1 - (at % room.events.length)));
  const staged = judgedLaws
    .flatMap(({ cases }) => cases(rules) ?? [])
    .map((cases) => cases.map(({ request }) => request));
  return fc.oneof(
    ofRoom.filter((request) => request !== undefined),
    ...staged,
  );
}

const changes: readonly { name: string; change: (request: AuthRequest, salt: number) => AuthRequest }[] = [
  {
    name: "the order in which cited events are given",
    change: (request, salt) => ({ ...request, auth_events: shuffle(request.auth_events, salt) }),
  },
  {
    name: "the order in which events are cited",
    change: (request, salt) => {
      const list = get(request.event, "auth_events");
      return onEvent(request, { auth_events: isArray(list) ? shuffle(list, salt) : [] });
    },
  },
  { name: "the order of keys", change: (request, salt) => shuffleKeys(request, salt) },
  { name: "`unsigned`", change: (request, salt) => onAll(request, () => ({ unsigned: { age: salt } })) },
  { name: "depth", change: (request, salt) => onAll(request, (at) => ({ depth: (salt * (at + 3)) % 97 })) },
  {
    name: "the time at which something is said to have been sent",
    change: (request, salt) => onAll(request, (at) => ({ origin_server_ts: (salt * (at + 3)) % 97 })),
  },
];

function onEvent(request: AuthRequest, keys: JsonObject): AuthRequest {
  return { ...request, event: withKeys(request.event, keys) };
}

function onAll(request: AuthRequest, keys: (at: number) => JsonObject): AuthRequest {
  const { create } = request;
  const changed = {
    ...onEvent(request, keys(0)),
    auth_events: request.auth_events.map((event, at) => withKeys(event, keys(at + 1))),
  };
  return create === undefined ? changed : { ...changed, create: withKeys(create, keys(99)) };
}
