/** Where the nodes of a room's graph stand: in layers, or a row for each where a room has too many of them. */
import {
  coordGreedy,
  coordSimplex,
  decrossTwoLayer,
  graphStratify,
  grid,
  layeringLongestPath,
  sugiyama,
  twolayerAgg,
} from "d3-dag";
import type { GraphNode } from "../inspect/graph.js";

/** The size of a node, and what is left between two. */
export const CARD: { readonly width: number; readonly height: number } = { width: 220, height: 46 };
const GAP = { x: 30, y: 30 } as const;

/** A node and where its middle is. */
export interface Place {
  readonly x: number;
  readonly y: number;
}

/** A line from a parent down to a child, through the points of every layer between. */
export interface Edge {
  readonly parent: string;
  readonly child: string;
  readonly points: readonly (readonly [x: number, y: number])[];
}

export interface Layout {
  /** Side by side in layers, or a row for each. */
  readonly form: "layers" | "rows";
  readonly width: number;
  readonly height: number;
  /** In the order of the nodes. */
  readonly places: readonly Place[];
  readonly edges: readonly Edge[];
}

/** Exact places cost too much beyond the first, and good ones beyond the second: 3,000 nodes take a second. */
const MOST_EXACT = 60;
const MOST_IN_LAYERS = 900;

/** Lays out nodes whose parents are all among them. */
export function layoutOf(nodes: readonly GraphNode[]): Layout {
  if (nodes.length === 0) return { form: "layers", width: 0, height: 0, places: [], edges: [] };
  const positions = new Map(nodes.map(({ id }, at) => [id, at]));
  const data = nodes.map(({ id, parents }) => ({ id, parentIds: parents }));
  const graph = graphStratify()(data);
  const size: [number, number] = [CARD.width + GAP.x, CARD.height + GAP.y];
  const form = nodes.length <= MOST_IN_LAYERS ? "layers" : "rows";
  const { width, height } =
    form === "rows"
      ? grid().nodeSize(size)(graph)
      : sugiyama()
          .nodeSize(size)
          .layering(layeringLongestPath())
          .decross(decrossTwoLayer().order(twolayerAgg()))
          .coord(nodes.length <= MOST_EXACT ? coordSimplex() : coordGreedy())(graph);
  const places = new Array<Place>(nodes.length).fill({ x: 0, y: 0 });
  for (const { x, y, data: datum } of graph.nodes()) places[positions.get(datum.id) ?? 0] = { x, y };
  const edges: Edge[] = [];
  for (const { source, target, points } of graph.links()) {
    const straight = points.map(([x, y]) => [x, y] as const);
    const bent = form === "rows" ? bend(straight) : straight;
    edges.push({ parent: source.data.id, child: target.data.id, points: bent });
  }
  return { form, width, height, places, edges };
}

/** In rows, lines leave their row between two rows and not behind other cards. */
function bend(points: Edge["points"]): Edge["points"] {
  const [first, last] = [points[0], points.at(-1)];
  if (first === undefined || last === undefined) return points;
  const row = CARD.height + GAP.y;
  return points.map(([x, y], at) => {
    const isInner = at > 0 && at < points.length - 1;
    return isInner ? ([x, y === first[1] ? y + row : y === last[1] ? y - row : y] as const) : ([x, y] as const);
  });
}
