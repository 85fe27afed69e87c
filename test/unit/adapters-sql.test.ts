/** What the adapters for SQL databases write, as far as no database is needed to see it. */
import { describe, expect, it } from "vitest";
import { postgresMigrations } from "../../src/adapters/postgres/schema.js";
import { countsOf, numbered } from "../../src/adapters/sql/batch.js";
import { eventOf, eventValues } from "../../src/adapters/sql/event.js";
import { decodeDelta, encodeDelta } from "../../src/adapters/sql/group.js";
import { bounded, lastOfEach } from "../../src/adapters/sql/row.js";
import { escapeName, unescapeName } from "../../src/adapters/sql/text.js";
import { openSqliteStorage } from "../../src/adapters/sqlite/index.js";
import type { SqliteHandle } from "../../src/adapters/sqlite/index.js";
import { sqliteMigrations } from "../../src/adapters/sqlite/schema.js";
import { loneSurrogateAt } from "../../src/ids/text.js";
import type { StateEntry, StoredEvent } from "../../src/ports/index.js";
import { awkwardJson, event, laxJson, rejected, softFailed } from "../../src/testing/suites/storage-rows.js";

describe("a name in a column", () => {
  const names = ["", "$a:b", "a\0b", "\u0001", "\u00010000", "\u0001\0", "\ud800", "\udc00\ud800", "😀", "\ufffd", "é"];

  it("is text that databases hold, and another for each name", () => {
    const escaped = names.map(escapeName);
    expect(new Set(escaped).size).toBe(names.length);
    for (const text of escaped) {
      expect(text.includes("\0")).toBe(false);
      expect(loneSurrogateAt(text)).toBe(-1);
    }
    expect(escaped.map(unescapeName)).toEqual(names);
  });

  it("is as it was where it is usual", () => {
    for (const name of ["$a:b", "@é:one.example", "😀"]) expect(escapeName(name)).toBe(name);
  });
});

describe("a state group in a row", () => {
  const keys = [["m.room.member", "@a:one.example"] as const, ["m.room.topic", ""] as const];
  const delta: readonly StateEntry[] = [
    ["m.room.member", "@a:one.example", "$member"],
    ["m.room.topic", "", undefined],
  ];
  const text = encodeDelta(
    delta,
    (type, stateKey) => 1 + keys.findIndex((key) => key[0] === type && key[1] === stateKey),
    () => 77,
  );
  const keyNames = new Map(keys.map(([type, stateKey], at) => [at + 1, { type, stateKey }]));

  it("is pairs of numbers, 0 where a key is taken away", () => {
    expect(text).toBe("1 77 2 0");
    expect(decodeDelta(text, keyNames, new Map([[77, "$member"]]))).toEqual(delta);
    expect(decodeDelta("", keyNames, new Map())).toEqual([]);
  });

  it("is damaged where it names nothing or is no list of pairs", () => {
    const events = new Map([[77, "$member"]]);
    for (const wrong of ["1 78", "3 77", "1", "1 77 2", "1 x", "1 -77", "1 7.5", " "]) {
      expect(() => decodeDelta(wrong, keyNames, events), wrong).toThrow(/^the database is damaged/);
    }
  });
});

describe("an event in columns", () => {
  const { json: _, ...columns } = eventValues(event("a", { json: awkwardJson }));
  const rowOf = (stored: StoredEvent) => {
    const { eventId, standing, verdict, mismatch, position, before, after, redactedBy, json } = eventValues(stored);
    const states = { state_before: before, state_after: after };
    return { event_id: eventId, standing, verdict, mismatch, position, ...states, redacted_by: redactedBy, pdu: json };
  };

  it("takes little beside its JSON", () => {
    expect(columns).toEqual({
      eventId: "$a",
      standing: 0,
      verdict: "v11 rule 10",
      mismatch: 0,
      position: null,
      before: null,
      after: null,
      redactedBy: null,
    });
  });

  it.each<[string, StoredEvent]>([
    ["plain", event("plain", { json: awkwardJson })],
    [
      "with every field",
      event("b", { position: -3, stateBefore: 1, stateAfter: 2, redactedBy: "$r\0", json: laxJson }),
    ],
    ["judged by its auth events", event("c", { verdict: { standing: "accepted", rule: "r", basis: "auth-events" } })],
    ["soft-failed", event("d", { verdict: softFailed, hashMismatch: true })],
    ["rejected", event("e", { verdict: rejected })],
  ])("comes back as it was: %s", (_name, stored) => {
    // Drivers give integers as numbers, as `bigint` or as text.
    for (const kind of [Number, BigInt, String]) {
      const row = Object.entries(rowOf(stored)).map(([name, value]) => [
        name,
        typeof value === "number" ? kind(value) : value,
      ]);
      const { json, ...rest } = eventOf(Object.fromEntries(row) as Record<string, unknown>);
      const { json: _json, ...wanted } = stored;
      expect(rest).toEqual(wanted);
      expect(rowOf({ ...stored, json })).toEqual(rowOf(stored));
    }
  });

  it("is damaged where a column holds something else", () => {
    const row = rowOf(event("a"));
    for (const wrong of [{ standing: 9 }, { standing: "x" }, { pdu: "[]" }, { pdu: "{" }, { pdu: null }]) {
      expect(() => eventOf({ ...row, ...wrong })).toThrow(/^the database is damaged/);
    }
  });
});

describe("rows of a batch", () => {
  it("are the last of each key", () => {
    const rows = [
      { id: "a", at: 1 },
      { id: "b", at: 2 },
      { id: "a", at: 3 },
    ];
    expect(lastOfEach(rows, ({ id }) => id)).toEqual([rows[2], rows[1]]);
    expect(lastOfEach(rows.slice(1), ({ id }) => id)).toEqual(rows.slice(1));
  });

  it("get numbers in their queues in the order in which they stand", () => {
    const entries = ["b", "a", "b", "b"].map((destination, at) => ({ destination, at }));
    expect(countsOf(entries)).toEqual([
      ["a", 1],
      ["b", 3],
    ]);
    const sequences = numbered(
      entries,
      new Map([
        ["a", 1],
        ["b", 12],
      ]),
    );
    expect(sequences.map(([{ at }, sequence]) => [at, sequence])).toEqual([
      [0, 10],
      [1, 1],
      [2, 11],
      [3, 12],
    ]);
  });

  it("have numbers that databases hold", () => {
    expect([Infinity, -Infinity, 1.5, -3].map(bounded)).toEqual([2 ** 53 - 1, -(2 ** 53) + 1, 1, -3]);
  });
});

describe("the migrations", () => {
  /** The tables that statements make, and the tables that their indexes are on. */
  const tables = (migrations: readonly (readonly string[])[]) =>
    migrations
      .flat()
      .flatMap((statement) => /^CREATE TABLE (?:s\.)?(\w+)/.exec(statement)?.[1] ?? [])
      .sort();

  it("make the same tables in either database", () => {
    expect(tables(sqliteMigrations)).toContain("state_groups");
    expect(tables(postgresMigrations("s"))).toEqual(tables(sqliteMigrations));
  });
});

describe("openSqliteStorage", () => {
  /** A driver that answers each question by its text. */
  const driver = (answers: Readonly<Record<string, object>>): SqliteHandle => ({
    exec: () => undefined,
    prepare: (text) => ({ run: () => ({ changes: 0 }), get: () => answers[text], all: () => [] }),
  });
  const version = "SELECT sqlite_version() AS version";
  const usual = { [version]: { version: "3.45.1" }, "PRAGMA encoding": { encoding: "UTF-8" } };

  it("refuses a driver or a file that cannot keep what a storage promises", () => {
    const open = (answers: Readonly<Record<string, object>>) => () =>
      openSqliteStorage(driver({ ...usual, ...answers }));
    expect(open({ [version]: { version: "3.37.2" } })).toThrow(/SQLite 3\.37\.2 is too old/);
    expect(open({ "PRAGMA encoding": { encoding: "UTF-16le" } })).toThrow(/keeps text in UTF-16le/);
    expect(open({ "PRAGMA journal_mode = WAL": { journal_mode: "delete" } })).toThrow(/journal mode is delete/);
    expect(open({ "SELECT version FROM schema_version": { version: 2 }, ...wal })).toThrow(/schema version 2/);
  });

  it("refuses options that mean nothing", () => {
    expect(() => openSqliteStorage(driver(usual), { busyTimeout: -1 })).toThrow(/milliseconds/);
    expect(() => openSqliteStorage(driver(usual), { taken: { perServer: 0 } })).toThrow(/one message at least/);
  });

  const wal = { "PRAGMA journal_mode = WAL": { journal_mode: "wal" } };
});
