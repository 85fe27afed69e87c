/**
 * The vectors that others can adopt: they have the form that their schema says, every answer is the library's, every
 * signature is by a published key, and the generator makes these very bytes.
 */
import { createPublicKey, verify as nodeVerify } from "node:crypto";
import { readFileSync, readdirSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { eventSignedBytes } from "../../src/event/sign.js";
import { answerLine } from "../../src/inspect/oracle.js";
import type { JsonObject } from "../../src/json/value.js";
import { referenceResolve, testKeyOf } from "../../src/testing/index.js";
import type { ResolutionRequest } from "../../src/testing/index.js";
import { expand } from "../../scripts/vectors/expand.js";
import { build, digest, texts } from "../../scripts/vectors/main.js";
import type { Confirmed } from "../../scripts/vectors/main.js";
import { received } from "../../scripts/vectors/receipts.js";
import { I1, versionOf, versions } from "../../scripts/vectors/model.js";
import type { Source, Vector } from "../../scripts/vectors/model.js";

const folder = new URL("../../fixtures/vectors/v1/", import.meta.url);
const gallery = new URL("../../fixtures/gallery/", import.meta.url).pathname;
const read = (name: string): string => readFileSync(new URL(name, folder), "utf8");
const lines = (name: string): readonly JsonObject[] =>
  read(name)
    .split("\n")
    .filter((line) => line !== "")
    .map((line) => JSON.parse(line) as JsonObject);

interface Listed {
  readonly path: string;
  readonly vectors: number;
  readonly schema: string;
}
const index = JSON.parse(read("index.json")) as {
  readonly licence: string;
  readonly events: { readonly path: string; readonly events: number; readonly schema: string };
  readonly keys: { readonly path: string; readonly schema: string };
  readonly files: readonly Listed[];
  readonly recorded: readonly (Listed & { readonly source: readonly Source[] })[];
};
const confirmed = JSON.parse(read("confirmed.json")) as Confirmed;
const keys = JSON.parse(read("keys.json")) as Readonly<Record<string, Readonly<Record<string, JsonObject>>>>;
const rooms = new Map<string, Map<string, JsonObject>>();
for (const { room, event_id, event } of lines("events.jsonl")) {
  const events = rooms.get(room as string) ?? new Map<string, JsonObject>();
  rooms.set(room as string, events.set(event_id as string, event as JsonObject));
}

const eventOf = (room: string, id: string): JsonObject => {
  const event = rooms.get(room)?.get(id);
  if (event === undefined) throw new Error(`${room} has no ${id}`);
  return event;
};
const expanded = (vector: JsonObject): JsonObject =>
  expand(vector, eventOf, (room) => [...(rooms.get(room)?.keys() ?? [])]);

/** The library's answer, as far as vectors expect something of it. */
function answer(vector: Vector): Vector["expect"] {
  const request = expanded(vector as JsonObject);
  if (vector.op === "receive") {
    const events = vector["events"] as readonly (string | JsonObject)[];
    const given = events.map((event) => (typeof event === "string" ? eventOf(vector.room ?? "", event) : event));
    return { ok: received(vector.room_version ?? "", given, keys) };
  }
  const { ok } = JSON.parse(answerLine(JSON.stringify(request))) as { readonly ok?: JsonObject };
  if (ok === undefined) return { error: true };
  if (vector.op === "auth") return { ok: ok["allowed"] === true };
  if (vector.op === "verify")
    return { ok: { signatures: ok["signatures"] === true, content_hash: ok["content_hash"] === true } };
  return { ok };
}

/** What a value breaks of a schema. The keywords are those that schema.json has, and any other is a mistake. */
const schemas = JSON.parse(read("schema.json")) as { readonly definitions: Readonly<Record<string, JsonObject>> };
function problems(schema: JsonObject, value: unknown, at: string): readonly string[] {
  const object =
    typeof value === "object" && value !== null && !Array.isArray(value) ? (value as JsonObject) : undefined;
  const properties = (schema["properties"] ?? {}) as Readonly<Record<string, JsonObject>>;
  const every = (part: unknown): readonly JsonObject[] => part as readonly JsonObject[];
  return Object.entries(schema).flatMap(([keyword, rule]): readonly string[] => {
    switch (keyword) {
      case "description":
      case "then":
        return [];
      case "$ref":
        return problems(schemas.definitions[(rule as string).replace("#/definitions/", "")] ?? { gone: 1 }, value, at);
      case "type": {
        const type = object !== undefined ? "object" : Array.isArray(value) ? "array" : typeof value;
        return type === rule ? [] : [`${at} is no ${rule as string}`];
      }
      case "enum":
        return (rule as readonly unknown[]).includes(value) ? [] : [`${at} is none of these`];
      case "const":
        return value === rule ? [] : [`${at} is not ${JSON.stringify(rule)}`];
      case "required":
        return (rule as readonly string[]).flatMap((key) =>
          object !== undefined && Object.hasOwn(object, key) ? [] : [`${at} lacks ${key}`],
        );
      case "properties":
        return Object.entries(object ?? {}).flatMap(([key, part]) =>
          Object.hasOwn(properties, key) ? problems(properties[key] ?? {}, part, `${at}.${key}`) : [],
        );
      case "additionalProperties":
        return Object.entries(object ?? {}).flatMap(([key, part]) => {
          if (Object.hasOwn(properties, key)) return [];
          return rule === false ? [`${at} has ${key}`] : problems(rule as JsonObject, part, `${at}.${key}`);
        });
      case "items":
        return (value as readonly unknown[]).flatMap((part, n) => problems(rule as JsonObject, part, `${at}[${n}]`));
      case "anyOf":
        return every(rule).some((one) => problems(one, value, at).length === 0) ? [] : [`${at} fits nothing`];
      case "allOf":
        return every(rule).flatMap((one) => problems(one, value, at));
      case "if":
        return problems(rule as JsonObject, value, at).length > 0
          ? []
          : problems(schema["then"] as JsonObject, value, at);
      default:
        return [`${keyword} is no keyword that is known here`];
    }
  });
}
const broken = (definition: string, value: unknown): readonly string[] =>
  problems({ $ref: definition.replace("schema.json", "") }, value, "it");

const all = index.files.map(({ path }) => [path, lines(path) as unknown as readonly Vector[]] as const);

describe("the form", () => {
  it.each([...index.files, ...index.recorded])(
    "$path is as the schema says, and has as many lines as the index",
    (file) => {
      const found = lines(file.path);
      expect(
        found.flatMap((line, at) => broken(file.schema, line).map((problem) => `line ${at + 1}: ${problem}`)),
      ).toEqual([]);
      expect(found).toHaveLength(file.vectors);
    },
  );
  it("events and keys are as the schema says", () => {
    const found = lines(index.events.path);
    expect(found.flatMap((line) => broken(index.events.schema, line))).toEqual([]);
    expect(found).toHaveLength(index.events.events);
    expect(broken(index.keys.schema, keys)).toEqual([]);
  });
  it("the schema refuses lines that lack something or have too much", () => {
    const [line = {}] = lines("auth.jsonl");
    const { source: _source, ...unsourced } = line;
    const { auth_events: _cited, ...uncited } = line;
    for (const wrong of [unsourced, uncited, { ...line, x: 1 }, { ...line, op: "guess" }, { ...line, expect: {} }])
      expect(broken("#/definitions/vector", wrong)).toHaveLength(1);
  });
  it("ids are unique, and every file is listed", () => {
    const ids = all.flatMap(([, vectors]) => vectors.map(({ id }) => id));
    expect(new Set(ids).size).toBe(ids.length);
    const listed = [
      ...index.files.map(({ path }) => path),
      "confirmed.json",
      "events.jsonl",
      "index.json",
      "keys.json",
    ];
    expect(readdirSync(folder).sort()).toEqual([...listed, "schema.json"].sort());
    expect(index.licence).toBe("CC0-1.0");
  });
});

describe("the answers", () => {
  it.each(all)("%s: the library gives each", (_path, vectors) => {
    for (const vector of vectors) expect(answer(vector), vector.id).toEqual(vector.expect);
  });
  it("the reference resolver gives each resolution that says so", () => {
    for (const vector of all.find(([path]) => path === "resolution.jsonl")?.[1] ?? []) {
      expect(vector.source.map(({ by }) => by)).toContain("reference");
      const request = expanded(vector as JsonObject) as unknown as ResolutionRequest;
      expect({ ok: referenceResolve(request) }, vector.id).toEqual(vector.expect);
    }
  });
  it("every rule of every version is met: allowed or refused, by the number on its page", () => {
    const ids = new Set(all.flatMap(([, vectors]) => vectors.map(({ id }) => id.replace(/\/[^/]*$/, ""))));
    // One is a heading; the other asks for a signature, and events of questions count as signed: see signatures.jsonl.
    const elsewhere = ["member.join.restricted", "member.authorising-signature"];
    for (const version of versions) {
      const rules = Object.keys(versionOf(version).rules.auth.numbering).filter((rule) => !elsewhere.includes(rule));
      expect(rules.filter((rule) => !ids.has(`auth/${version}/${rule}`))).toEqual([]);
    }
  });
  it("room version I.1 has answers of every kind but resolution, which come from the draft alone", () => {
    const own = all.flatMap(([path, vectors]) =>
      vectors.filter((vector) => vector.room_version === I1).map((vector) => [path, vector] as const),
    );
    expect([...new Set(own.map(([path]) => path))]).toEqual([
      "canonical-json.jsonl",
      "redaction.jsonl",
      "event-ids.jsonl",
      "signatures.jsonl",
      "auth.jsonl",
      "receipts.jsonl",
    ]);
    for (const [, { id, source }] of own) {
      expect(source[0], id).toMatchObject({
        by: "spec",
        section: expect.stringMatching(/^5\. Room Version I\.1/) as string,
      });
      expect(
        source.every(({ by }) => by === "spec"),
        id,
      ).toBe(true);
    }
    const rules = own.filter(([path]) => path === "auth.jsonl").map(([, { expect: answer }]) => answer);
    expect(rules.some((answer) => "ok" in answer && answer.ok === false)).toBe(true);
    expect(own.some(([, vector]) => JSON.stringify(vector).includes("m.text"))).toBe(true);
  });
  it("implementations are named where this very question was put to them, and nowhere else", () => {
    let named = 0;
    for (const vector of all.flatMap(([, vectors]) => vectors)) {
      const said = vector.source.flatMap((source) => (source.by === "implementations" ? source.names : []));
      const mark = digest(expanded(vector as JsonObject), vector.expect);
      expect(said, vector.id).toEqual(Object.keys(confirmed).filter((who) => confirmed[who]?.[vector.id] === mark));
      named += said.length;
    }
    expect(named).toBeGreaterThan(2200);
  });
});

describe("the events", () => {
  it("are signed by published keys, as Node's Ed25519 says", () => {
    const publicKeys = new Map(
      Object.entries(keys).flatMap(([server, ofServer]) =>
        Object.entries(ofServer).map(([keyId, { key, seed }]) => {
          expect(seed).toBe(Buffer.from(testKeyOf(server).seed).toString("base64").replace("=", ""));
          const x = Buffer.from(key as string, "base64").toString("base64url");
          return [`${server} ${keyId}`, createPublicKey({ key: { kty: "OKP", crv: "Ed25519", x }, format: "jwk" })];
        }),
      ),
    );
    const signatures = [...rooms].flatMap(([room, events]) => {
      const { rules } = versionOf(room.split("/")[0] ?? "");
      return [...events].flatMap(([id, event]) => {
        const message = eventSignedBytes(rules, event);
        const servers = event["signatures"] as Readonly<Record<string, Readonly<Record<string, string>>>>;
        return Object.entries(servers).flatMap(([server, ofServer]) =>
          Object.entries(ofServer).map(([keyId, text]) => ({ id, message, name: `${server} ${keyId}`, text })),
        );
      });
    });
    for (const { id, message, name, text } of signatures) {
      const key = publicKeys.get(name);
      if (key === undefined) throw new Error(`${id} is signed by ${name}, which is not published`);
      expect(nodeVerify(null, message, key, Buffer.from(text, "base64")), id).toBe(true);
    }
    expect(signatures.length).toBeGreaterThanOrEqual(index.events.events);
  });
});

describe("the generator", () => {
  it("makes these bytes", () => {
    for (const [name, text] of texts(build(gallery), confirmed)) expect(read(name) === text, name).toBe(true);
  });
});
