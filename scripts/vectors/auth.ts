/** Authorisation: every rule of every version, allowed and refused. */
import fc from "fast-check";
import { answerLine } from "../../src/inspect/oracle.js";
import type { JsonObject } from "../../src/json/value.js";
import type { RuleName } from "../../src/rules/model.js";
import { judgedLaws } from "../../src/testing/auth-cases.js";
import { textAt } from "../../src/testing/forge.js";
import type { AuthRequest } from "../../src/testing/stage.js";
import type { RoomVersion } from "../../src/versions/room-version.js";
import { I1, roomPage, sourcesFor, spec, versionOf, versions } from "./model.js";
import type { Pool, Vector } from "./model.js";
import { namedCases } from "./auth-named.js";

/** A request, what the rules say to it, and by which rule where the case was made for one. */
export interface AuthCase {
  readonly name: string;
  readonly request: AuthRequest & { readonly rejected?: readonly string[]; readonly state?: readonly JsonObject[] };
  readonly allowed: boolean;
  readonly rule?: RuleName;
}

/** How many cases of one rule and answer there are at least, if so many are found. */
const KEPT = 1;
const SAMPLES = 60;

interface Verdict {
  readonly allowed: boolean;
  readonly rule: RuleName;
  readonly number: string;
}

/** The verdict of the library, under the rule's name. */
function judge({ rules }: RoomVersion, { name, request, allowed, rule }: AuthCase): Verdict {
  const answer = JSON.parse(answerLine(JSON.stringify({ op: "auth", ...request }))) as {
    readonly ok?: { readonly allowed: boolean; readonly rule: string };
    readonly error?: string;
  };
  if (answer.ok === undefined) throw new Error(`${name}: ${answer.error ?? ""}`);
  const number = answer.ok.rule.replace(/^.* rule /, "");
  const found = Object.entries(rules.auth.numbering).find(([, own]) => own === number)?.[0] ?? number;
  if (answer.ok.allowed !== allowed) throw new Error(`v${rules.id} ${name}: ${answer.ok.rule} answers otherwise`);
  if (rule !== undefined && rule !== found) throw new Error(`v${rules.id} ${name}: judged by ${found}, not ${rule}`);
  return { allowed, rule: found as RuleName, number };
}

interface Candidate {
  readonly one: AuthCase;
  readonly verdict: Verdict;
}

export function authVectors(pool: Pool): readonly Vector[] {
  return [...versions, I1].flatMap((id) => {
    const version = versionOf(id);
    const known = new Set<string>();
    const counts = new Map<string, number>();
    const keep = ({ one, verdict }: Candidate): Vector => {
      for (const event of eventsOf(one)) known.add(textAt(event, "event_id"));
      const key = keyOf(verdict);
      const count = (counts.get(key) ?? 0) + 1;
      counts.set(key, count);
      return vectorOf(pool, version, `auth/${id}/${key}-${count}`, one, verdict);
    };
    const named = namedCases(version).map((one) => keep({ one, verdict: judge(version, one) }));
    const cost = ({ one }: Candidate): number =>
      eventsOf(one).filter((event) => !known.has(textAt(event, "event_id"))).length;
    const random = [...grouped(version)].flatMap(([key, candidates]) =>
      Array.from({ length: Math.max(0, KEPT - (counts.get(key) ?? 0)) }, () => candidates).flatMap((offered) => {
        const best = offered.toSorted((a, b) => cost(a) - cost(b))[0];
        if (best === undefined) return [];
        offered.splice(offered.indexOf(best), 1);
        return [keep(best)];
      }),
    );
    return [...named, ...random].sort((a, b) => (a.id < b.id ? -1 : 1));
  });
}

const keyOf = ({ rule, allowed }: Verdict): string => `${rule}/${allowed ? "allowed" : "refused"}`;

const eventsOf = ({ request: { event, auth_events, create } }: AuthCase): readonly JsonObject[] => [
  event,
  ...auth_events,
  ...(create === undefined ? [] : [create]),
];

/** Cases of the laws by the rule that judges them. */
function grouped(version: RoomVersion): ReadonlyMap<string, Candidate[]> {
  const groups = new Map<string, Candidate[]>();
  // I.1 has the rules of version 10, of which the named cases are enough to see that.
  if (version.id === I1) return groups;
  for (const [at, { name, cases }] of judgedLaws.entries()) {
    const arbitrary = cases(version.rules);
    if (arbitrary === undefined) continue;
    const sample = fc.sample(arbitrary, { numRuns: SAMPLES, seed: 1000 * Number(version.id) + at });
    for (const { request, allowed, because } of sample) {
      const one = { name: `${name}: ${because}`, request, allowed };
      const verdict = judge(version, one);
      groups.set(keyOf(verdict), [...(groups.get(keyOf(verdict)) ?? []), { one, verdict }]);
    }
  }
  return groups;
}

function vectorOf(pool: Pool, version: RoomVersion, id: string, one: AuthCase, verdict: Verdict): Vector {
  const room = `${version.id}/auth`;
  const { event, auth_events, create, state, rejected } = one.request;
  const add = (other: JsonObject): string => pool.add(room, version, other);
  return {
    id,
    op: "auth",
    room_version: version.id,
    room,
    about: one.name,
    event: add(event),
    auth_events: auth_events.map(add),
    ...(create === undefined ? {} : { create: textAt(create, "event_id") === "" ? create : add(create) }),
    ...(state === undefined ? {} : { state: state.map(add) }),
    ...(rejected === undefined ? {} : { rejected }),
    expect: { ok: verdict.allowed },
    source: sourcesFor(version.id, spec(roomPage(version.id, "authorization-rules"), `rule ${verdict.number}`)),
  };
}
