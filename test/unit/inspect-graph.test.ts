import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import {
  checkRoom,
  foldRuns,
  formatDot,
  formatMermaid,
  graphOf,
  graphOfDump,
  readDump,
  ruleInWords,
} from "../../src/inspect/index.js";
import type { Dump, GraphNode, RoomGraph, RoomReport } from "../../src/inspect/index.js";
import { roomVersions } from "../../src/versions/index.js";

function dumpOf(text: string): Dump {
  const dump = readDump(text);
  if (!dump.ok) throw new Error(dump.error.reason);
  return dump.value;
}

function reportOf(text: string): RoomReport {
  const report = checkRoom(dumpOf(text));
  if (!report.ok) throw new Error(report.error.reason);
  return report.value;
}

const recorded = (name: string): string =>
  readFileSync(new URL(`../../fixtures/rooms/${name}.json`, import.meta.url), "utf8");

/** `before` messages in a row, two branches of `each`, a merge, and `after` messages. */
function forked(before: number, each: number, after: number): string {
  const says = (name: string, from: string): string => `${name}: alice says "${name}" after ${from}`;
  const lines = ["create: alice creates", "joined: alice joins"];
  const chain = (prefix: string, count: number, from: string): string => {
    let last = from;
    for (let at = 1; at <= count; at++) {
      lines.push(says(`${prefix}${at}`, last));
      last = `${prefix}${at}`;
    }
    return last;
  };
  const fork = chain("a", before, "joined");
  const left = chain("l", each, fork);
  const right = chain("r", each, fork);
  lines.push(says("merge", `${left}, ${right}`));
  chain("z", after, "merge");
  return lines.join("\n");
}

const kinds = (nodes: readonly GraphNode[]): readonly string[] =>
  nodes.map((node) => (node.kind === "run" ? String(node.events.length) : node.kind));

describe("the graph of a room", () => {
  it("has every event once, parents before children, each a layer below its lowest parent", () => {
    const graph = graphOf(reportOf(recorded("fork-v11-a")));
    const layers = new Map<string, number>();
    for (const { eventId, parents, layer } of graph.events) {
      expect(layer).toBe(Math.max(-1, ...parents.map((id) => layers.get(id) ?? NaN)) + 1);
      layers.set(eventId, layer);
    }
    expect(layers.size).toBe(18);
    expect(graph.absent).toEqual([]);
  });

  it("tells what was soft-failed where the file says so, and what was redacted", () => {
    const soft = graphOf(reportOf(recorded("fork-v11-a"))).events.filter(({ standing }) => standing === "soft-failed");
    expect(soft.map(({ type }) => type)).toEqual(["m.room.topic", "m.room.join_rules", "org.x", "m.room.name"]);
    const redacted = graphOf(reportOf(recorded("synapse-v11"))).events.filter((event) => event.redacted);
    expect(redacted.length).toBeGreaterThan(0);
    expect(redacted.every(({ type }) => type === "m.room.message")).toBe(true);
  });

  it("names parents that the file lacks, and leaves what follows them pending", () => {
    const [, , ...rest] = (JSON.parse(recorded("fork-v10-a")) as { readonly timeline: readonly object[] }).timeline;
    const dump = dumpOf(JSON.stringify({ room_version: "10", timeline: rest }));
    const report = checkRoom(dump);
    if (!report.ok) throw new Error(report.error.reason);
    const graph = graphOf(report.value);
    expect(graph.absent.length).toBe(1);
    expect(graph.events.every(({ standing }) => standing === "pending")).toBe(true);
    expect(foldRuns(graph)[0]).toEqual({ kind: "absent", id: graph.absent[0], parents: [] });
  });

  it("can be had before a check, with the same events in the same layers", () => {
    const text = recorded("synapse-v12");
    const checked = graphOf(reportOf(text));
    const dump = dumpOf(text);
    const version = roomVersions.get("12");
    if (!version.ok) throw new Error("no version 12");
    const early = graphOfDump(version.value.rules, dump);
    const places = ({ events }: RoomGraph): readonly string[] =>
      events.map(({ eventId, layer }) => `${layer} ${eventId}`).sort();
    expect(places(early)).toEqual(places(checked));
    expect(early.events.every(({ standing }) => standing === "unchecked")).toBe(true);
  });
});

describe("folding", () => {
  const graph = graphOf(reportOf(forked(9, 3, 10)));

  it("folds long runs, and never a fork, a merge, an end or a short run", () => {
    const nodes = foldRuns(graph, { shortest: 8 });
    // The create event has no parent; a9 has two children; z10 is the end.
    expect(kinds(nodes)).toEqual(["event", "9", "event", ..."event ".repeat(7).trim().split(" "), "9", "event"]);
    const known = new Set(nodes.map(({ id }) => id));
    for (const { parents } of nodes) for (const parent of parents) expect(known).toContain(parent);
  });

  it("leaves a run open by any event of it, and everything where nothing is to be folded", () => {
    const run = foldRuns(graph, { shortest: 8 }).find(({ kind }) => kind === "run");
    if (run?.kind !== "run") throw new Error("nothing was folded");
    const open = new Set([run.events.at(-1)?.eventId ?? ""]);
    expect(kinds(foldRuns(graph, { shortest: 8, open })).filter((kind) => kind === "9")).toHaveLength(1);
    expect(foldRuns(graph, { shortest: Infinity })).toHaveLength(graph.events.length);
  });
});

describe("graphs as text", () => {
  const graph = graphOf(reportOf(recorded("fork-v11-a")));

  it("are DOT with a node for each event and an edge for each parent", () => {
    const dot = formatDot(graph);
    const edges = graph.events.reduce((sum, { parents }) => sum + parents.length, 0);
    expect(dot.match(/ -> /g)).toHaveLength(edges);
    expect(dot.match(/label="[^"]*soft-failed[^"]*" shape=box style="dashed,rounded"/g)).toHaveLength(4);
    expect(dot.startsWith("digraph room {\n")).toBe(true);
    expect(dot.endsWith("}\n")).toBe(true);
  });

  it("are Mermaid with names of their own", () => {
    const mermaid = formatMermaid(graph);
    expect(mermaid.match(/^ {2}e\d+[[(]/gm)).toHaveLength(graph.events.length);
    expect(mermaid).toContain("e0 --> e1");
    expect(mermaid.match(/:::soft/g)).toHaveLength(4);
  });

  it("hold hostile text as text", () => {
    const hostile = '"]; x -> y; //\\ <br/> `#quot; \n end';
    const [event, ...others] = graph.events;
    if (event === undefined) throw new Error("no events");
    const spoilt = { ...graph, events: [{ ...event, type: hostile, sender: hostile, gist: hostile }, ...others] };
    const dot = formatDot(spoilt).split("\n");
    expect(dot).toHaveLength(formatDot(graph).split("\n").length);
    for (const line of dot) expect(line.replace(/"(?:[^"\\]|\\.)*"/g, "")).not.toMatch(/["\\<`#]/);
    const label = /\["(.*)"\]:::/.exec(formatMermaid(spoilt).split("\n")[1] ?? "")?.[1] ?? "";
    expect(label).not.toBe("");
    expect(label.replaceAll("<br/>", "").replace(/#\d+;/g, "")).not.toMatch(/["<>`#;\]]/);
  });
});

describe("rules in words", () => {
  it("are there for every number of every version's page", () => {
    for (const id of roomVersions.ids()) {
      const version = roomVersions.get(id);
      if (!version.ok) throw new Error(id);
      const { rules } = version.value;
      const numbers = Object.values(rules.auth.numbering);
      expect(numbers.length).toBeGreaterThan(40);
      for (const number of numbers)
        expect(ruleInWords(rules, `v${id} rule ${number}`), `${id} ${number}`).toMatch(/\.$/);
    }
  });

  it("are absent for what is no authorisation rule", () => {
    const version = roomVersions.get("11");
    if (!version.ok) throw new Error("no version 11");
    expect(ruleInWords(version.value.rules, "server-server-api Validating hashes and signatures")).toBeUndefined();
    expect(ruleInWords(version.value.rules, "v11 rule 99")).toBeUndefined();
  });
});
