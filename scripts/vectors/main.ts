/** All vectors as the texts of their files. The same sources make the same bytes. */
import { createHash } from "node:crypto";
import type { JsonObject } from "../../src/json/value.js";
import { authVectors } from "./auth.js";
import { canonicalVectors, idVectors, redactionVectors, signatureVectors } from "./bytes.js";
import { expand } from "./expand.js";
import { Pool } from "./model.js";
import type { Vector } from "./model.js";
import { receiptVectors } from "./receipts.js";
import { galleryVectors, randomVectors } from "./resolution.js";

/** Of the vectors, not of the library: the second number counts additions, the first what changes answers or forms. */
const VERSION = "1.1.0";

interface File {
  readonly name: string;
  readonly about: string;
  readonly vectors: readonly Vector[];
}

/** Who gave the same answer: digests of requests with their answers, by vector, by implementation. */
export type Confirmed = Readonly<Record<string, Readonly<Record<string, string>>>>;

export interface Built {
  readonly files: readonly File[];
  readonly pool: Pool;
  /** A vector as a request with its events in place. */
  readonly expanded: (vector: Vector) => JsonObject;
}

/** @param gallery the folder of the scenario texts, with its slash. */
export function build(gallery: string): Built {
  const pool = new Pool();
  const files: readonly File[] = [
    {
      name: "canonical-json",
      about: "Canonical JSON of JSON text, and text that has none.",
      vectors: canonicalVectors(),
    },
    { name: "redaction", about: "What redaction keeps, in each room version.", vectors: redactionVectors() },
    { name: "event-ids", about: "Content hashes, and event ids from reference hashes.", vectors: idVectors() },
    { name: "signatures", about: "Signing, and verifying with keys that are given.", vectors: signatureVectors() },
    {
      name: "auth",
      about: "Authorisation rules of each room version, allowed and refused.",
      vectors: authVectors(pool),
    },
    {
      name: "resolution",
      about: "State resolution v1, v2 and v2.1: named histories, and forks of random rooms.",
      vectors: [...galleryVectors(pool, gallery), ...randomVectors(pool)],
    },
    {
      name: "receipts",
      about: "What becomes of events that arrive in this order: the checks on receipt.",
      vectors: receiptVectors(pool, gallery),
    },
  ];
  const expanded = (vector: Vector): JsonObject =>
    expand(
      vector as JsonObject,
      (room, id) => pool.event(room, id),
      (room) => pool.ids(room),
    );
  return { files, pool, expanded };
}

/** What an implementation confirms: this very question with this very answer. */
export function digest(request: JsonObject, expect: Vector["expect"]): string {
  const { id: _id, about: _about, ...question } = request;
  const text = JSON.stringify([question, expect]);
  return createHash("sha256").update(text).digest("hex").slice(0, 16);
}

/** The files by name, without schema, licence and confirmations, which are not made here. */
export function texts({ files, pool, expanded }: Built, confirmed: Confirmed): ReadonlyMap<string, string> {
  const made = new Map<string, string>();
  const jsonl = (lines: readonly unknown[]): string => lines.map((line) => `${JSON.stringify(line)}\n`).join("");
  for (const { name, vectors } of files) {
    const withSource = vectors.map((vector) => {
      const mark = digest(expanded(vector), vector.expect);
      const names = Object.keys(confirmed).filter((who) => confirmed[who]?.[vector.id] === mark);
      const source = names.length === 0 ? vector.source : [...vector.source, { by: "implementations", names }];
      return { ...vector, source };
    });
    made.set(`${name}.jsonl`, jsonl(withSource));
  }
  made.set("events.jsonl", jsonl(pool.lines()));
  made.set("keys.json", `${JSON.stringify(pool.keys(), null, 1)}\n`);
  made.set("index.json", `${JSON.stringify(index(files, pool), null, 2)}\n`);
  return made;
}

function index(files: readonly File[], pool: Pool): object {
  const both = (names: readonly string[]): object => ({ by: "implementations", names });
  const ruma = "ruma (state-res 0.18, signatures 0.22)";
  const most = [both(["Synapse 1.163.2", ruma])];
  const old = [both(["Synapse 1.163.2", "gomatrixserverlib"])];
  const recorded = (path: string, vectors: number, about: string, versioned: boolean): object => ({
    path,
    vectors,
    schema: "schema.json#/definitions/recorded",
    about,
    source: most,
    ...(versioned ? { source_by_room_version: { "1": old, "2": old } } : {}),
  });
  return {
    name: "roomdag vectors",
    about: "Questions about Matrix rooms with their answers, for any implementation in any language.",
    version: VERSION,
    licence: "CC0-1.0",
    generator: "scripts/vectors.mjs",
    specification: "https://spec.matrix.org/v1.16/",
    schema: "schema.json",
    events: { path: "events.jsonl", events: pool.lines().length, schema: "schema.json#/definitions/event_line" },
    keys: { path: "keys.json", schema: "schema.json#/definitions/keys" },
    files: files.map(({ name, about, vectors }) => ({
      path: `${name}.jsonl`,
      vectors: vectors.length,
      schema: "schema.json#/definitions/vector",
      about,
    })),
    recorded: [
      recorded(
        "../plain.jsonl",
        1123,
        "Redaction, hashes, ids, signatures and canonical JSON of made-up events.",
        false,
      ),
      {
        ...recorded("../auth.jsonl", 1080, "Authorisation in random rooms.", true),
        errata: "../errata.json",
      },
      recorded("../resolve.jsonl", 288, "Resolution in random rooms.", true),
    ],
  };
}

/** Whether an implementation's answer is the one that is expected. Refusals need not be for the same reason. */
export function agrees({ expect }: Vector, answer: { readonly ok?: unknown; readonly error?: unknown }): boolean {
  if ("error" in expect) return answer.error !== undefined;
  return answer.error === undefined && plain(answer.ok) === plain(expect.ok);
}

/** JSON with sorted keys. */
function plain(value: unknown): string {
  return JSON.stringify(value, (_key, part: unknown) =>
    typeof part === "object" && part !== null && !Array.isArray(part)
      ? Object.fromEntries(Object.entries(part).sort(([a], [b]) => (a < b ? -1 : 1)))
      : part,
  );
}
