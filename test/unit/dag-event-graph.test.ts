import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { EventGraph, type GraphEvent, type Standing } from "../../src/dag/index.js";

interface Row {
  readonly id: string;
  readonly prevs: readonly string[];
  readonly standing?: Standing;
  readonly ts?: number;
}

const row = (id: string, prevs: readonly string[] = [], standing: Standing = "accepted", ts = 0): Row => ({
  id,
  prevs,
  standing,
  ts,
});
const eventOf = ({ id, prevs, ts = 0 }: Row): GraphEvent => ({ eventId: id, prevEvents: prevs, originServerTs: ts });

function graphOf(...rows: readonly Row[]): EventGraph {
  const graph = new EventGraph();
  for (const each of rows) graph.add(eventOf(each), each.standing);
  return graph;
}

describe("forward extremities [cap:extremities]", () => {
  it("are E4 and E6 in the spec's sample", () => {
    const graph = graphOf(
      row("E1"),
      row("E2", ["E1"]),
      row("E3", ["E2"]),
      row("E4", ["E3"]),
      row("E5", ["E2"]),
      row("E6", ["E5"]),
    );
    expect(graph.forwardExtremities()).toEqual(["E4", "E6"]);
  });
  it("are none of an empty room, and the only event of a new one", () => {
    expect(graphOf().forwardExtremities()).toEqual([]);
    expect(graphOf(row("A")).forwardExtremities()).toEqual(["A"]);
  });
  it("leave out soft-failed and rejected events: the ban evader's C of the spec", () => {
    for (const standing of ["soft-failed", "rejected"] as const) {
      const [a, b, c] = [row("A"), row("B", ["A"]), row("C", ["A"], standing)];
      expect(graphOf(a, b, c).forwardExtremities()).toEqual(["B"]);
      expect(graphOf(a, c).forwardExtremities()).toEqual(["A"]);
      // D, which saw C before B, is handled as usual; D' never cites C.
      expect(graphOf(a, b, c, row("D", ["B", "C"])).forwardExtremities()).toEqual(["D"]);
      expect(graphOf(a, b, c, row("D'", ["B"])).forwardExtremities()).toEqual(["D'"]);
    }
  });
  it("look through chains of events that do not count", () => {
    const chain = [
      row("A"),
      row("S1", ["A"], "soft-failed"),
      row("R", ["S1"], "rejected"),
      row("S2", ["R"], "soft-failed"),
    ];
    expect(graphOf(...chain).forwardExtremities()).toEqual(["A"]);
    expect(graphOf(...chain, row("B", ["S2"])).forwardExtremities()).toEqual(["B"]);
    expect(graphOf(...chain, row("B", ["S2"], "rejected")).forwardExtremities()).toEqual(["A"]);
    expect(graphOf(...chain, row("X", ["A"]), row("Y", ["S2"])).forwardExtremities()).toEqual(["X", "Y"]);
  });
  it("do not look through an event that is not here", () => {
    expect(graphOf(row("A"), row("C", ["M"])).forwardExtremities()).toEqual(["A", "C"]);
    expect(graphOf(row("A"), row("C", ["M"]), row("M", ["A"])).forwardExtremities()).toEqual(["C"]);
  });
  it("are sorted by code point", () => {
    expect(graphOf(row("$\u{1f600}"), row("$\uffff"), row("$b"), row("$a")).forwardExtremities()).toEqual([
      "$a",
      "$b",
      "$\uffff",
      "$\u{1f600}",
    ]);
  });
  it("follow a change of standing", () => {
    const graph = graphOf(row("A"), row("B", ["A"]));
    graph.add(eventOf(row("B", ["other"])), "rejected");
    expect(graph.forwardExtremities()).toEqual(["A"]);
    expect([graph.size, graph.gaps()]).toEqual([2, []]);
    graph.add(eventOf(row("B")));
    expect(graph.forwardExtremities()).toEqual(["B"]);
  });
  it("are none in a cycle", () => {
    expect(graphOf(row("A", ["B"]), row("B", ["A"])).forwardExtremities()).toEqual([]);
    expect(graphOf(row("A", ["A"])).forwardExtremities()).toEqual([]);
  });
});

describe("gaps [cap:graph]", () => {
  const graph = graphOf(row("A"), row("C", ["B", "A"]), row("D", ["B", "M"]), row("E", ["D"]));
  it("are cited events that are not here, with who cites them", () => {
    expect(graph.gaps()).toEqual([
      { missing: "B", citedBy: ["C", "D"] },
      { missing: "M", citedBy: ["D"] },
    ]);
    expect(graph.backwardExtremities()).toEqual(["C", "D"]);
    expect(graph.size).toBe(4);
    expect(["A", "B", "M", "X", "constructor"].map((id) => graph.has(id))).toEqual([true, false, false, false, false]);
  });
  it("close when the event comes, and open further back", () => {
    const filled = graphOf(row("C", ["B", "B"]));
    expect(filled.gaps()).toEqual([{ missing: "B", citedBy: ["C"] }]);
    filled.add(eventOf(row("B", ["A"])));
    expect([filled.gaps(), filled.backwardExtremities()]).toEqual([[{ missing: "A", citedBy: ["B"] }], ["B"]]);
    filled.add(eventOf(row("A")));
    expect([filled.gaps(), filled.backwardExtremities()]).toEqual([[], []]);
  });
});

describe("topological order [cap:topological-order]", () => {
  it("puts parents first, then older, then smaller ids", () => {
    const graph = graphOf(
      row("D", ["B", "C"], "accepted", 1),
      row("C", ["A"], "rejected", 5),
      row("B", ["A"], "accepted", 9),
      row("A", [], "accepted", 99),
    );
    expect(graph.topological()).toEqual(["A", "C", "B", "D"]);
    const ties = graphOf(row("$\u{1f600}"), row("$\uffff"), row("$b", [], "accepted", -1));
    expect(ties.topological()).toEqual(["$b", "$\uffff", "$\u{1f600}"]);
  });
  it("leaves out what is not here, and has none for a cycle", () => {
    expect(graphOf(row("C", ["B"]), row("B", ["A"])).topological()).toEqual(["B", "C"]);
    expect(graphOf(row("A", ["B"]), row("B", ["A"])).topological()).toBeUndefined();
    expect(graphOf(row("X"), row("A", ["A"])).topological()).toBeUndefined();
    expect(graphOf().topological()).toEqual([]);
  });
});

describe("ancestors [cap:graph]", () => {
  const graph = graphOf(row("A"), row("B", ["A"]), row("C", ["A", "M"]), row("D", ["B", "C"]), row("X"));
  it("are all that come before, as far as the graph is here", () => {
    expect([...graph.ancestors(["D"])].sort()).toEqual(["A", "B", "C", "M"]);
    expect([...graph.ancestors(["B"])]).toEqual(["A"]);
    expect([...graph.ancestors(["A"])]).toEqual([]);
    expect([...graph.ancestors([])]).toEqual([]);
    expect([...graph.ancestors(["unknown"])]).toEqual([]);
    expect([...graph.ancestors(["B", "C"])].sort()).toEqual(["A", "M"]);
  });
});

describe("a graph as a set", () => {
  const standing = fc.constantFrom<Standing>("accepted", "accepted", "soft-failed", "rejected");
  const rows = fc
    .array(fc.tuple(fc.array(fc.nat(), { maxLength: 3 }), standing, fc.nat(3)), { minLength: 1, maxLength: 16 })
    .map((list) =>
      list.map(([picks, at, ts], n): Row =>
        row(
          `$${String(n)}`,
          picks.map((pick) => `$${String(pick % (n + 1) === n ? "gap" : pick % (n + 1))}`),
          at,
          ts,
        ),
      ),
    );

  it("answers the same in any order of arrival [cap:extremities]", () => {
    fc.assert(
      fc.property(
        rows.chain((list) => fc.tuple(fc.constant(list), fc.shuffledSubarray(list, { minLength: list.length }))),
        ([list, other]) => {
          const [a, b] = [graphOf(...list), graphOf(...other)];
          const ids = list.map(({ id }) => id);
          const answers = (graph: EventGraph) => [
            graph.size,
            graph.forwardExtremities(),
            graph.backwardExtremities(),
            graph.gaps(),
            graph.topological(),
            ids.map((id) => [...graph.ancestors([id])].sort()),
          ];
          expect(answers(b)).toEqual(answers(a));
          const order = a.topological() ?? [];
          expect([...order].sort()).toEqual([...ids].sort());
          for (const { id, prevs } of list) {
            for (const prev of prevs) expect(order.indexOf(prev)).toBeLessThan(order.indexOf(id));
          }
        },
      ),
    );
  });
  it("has as extremities the accepted events without an accepted descendant", () => {
    fc.assert(
      fc.property(rows, (list) => {
        const graph = graphOf(...list);
        const accepted = list.filter(({ standing: at }) => at === "accepted").map(({ id }) => id);
        const covered = new Set(accepted.flatMap((id) => [...graph.ancestors([id])]));
        expect(graph.forwardExtremities()).toEqual(accepted.filter((id) => !covered.has(id)).sort());
      }),
    );
  });
  it("bears a chain of 100,000 events", () => {
    const graph = new EventGraph();
    for (let at = 99_999; at >= 0; at--) {
      const last = at === 99_999 || at === 0;
      graph.add(
        { eventId: `$${String(at)}`, prevEvents: at === 0 ? [] : [`$${String(at - 1)}`], originServerTs: 0 },
        last ? "accepted" : "soft-failed",
      );
    }
    expect(graph.forwardExtremities()).toEqual(["$99999"]);
    expect(graph.topological()?.slice(0, 2)).toEqual(["$0", "$1"]);
    expect(graph.ancestors(["$99999"]).size).toBe(99_999);
    expect(graph.gaps()).toEqual([]);
  });
});
