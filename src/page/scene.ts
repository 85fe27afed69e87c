/** What is drawn, put so that painting a frame and finding what is under the pointer are quick. */
import type { GraphNode } from "../inspect/graph.js";
import { CARD } from "./layout.js";
import type { Edge, Place } from "./layout.js";
import type { Drawing } from "./protocol.js";

export interface SceneNode extends Place {
  readonly node: GraphNode;
  readonly parents: readonly SceneNode[];
  readonly children: readonly SceneNode[];
}

export interface SceneEdge extends Edge {
  readonly top: number;
  readonly bottom: number;
}

export interface Scene {
  readonly width: number;
  readonly height: number;
  /** From the top to the bottom. */
  readonly nodes: readonly SceneNode[];
  readonly edges: readonly SceneEdge[];
  /** By the id of any event, also of those in a folded run. */
  readonly byId: ReadonlyMap<string, SceneNode>;
}

export function sceneOf({ nodes, layout }: Drawing): Scene {
  const byId = new Map<string, SceneNode>();
  const children = new Map<string, SceneNode[]>();
  const all = nodes.map((node, at) => {
    const place = layout.places[at] ?? { x: 0, y: 0 };
    const kids: SceneNode[] = [];
    const parents = node.parents.flatMap((id) => byId.get(id) ?? []);
    const made: SceneNode = { ...place, node, parents, children: kids };
    children.set(node.id, kids);
    for (const parent of parents) children.get(parent.node.id)?.push(made);
    byId.set(node.id, made);
    if (node.kind === "run") for (const { eventId } of node.events) byId.set(eventId, made);
    return made;
  });
  const edges = layout.edges.map((edge) => {
    const ys = edge.points.map(([, y]) => y);
    return { ...edge, top: Math.min(...ys), bottom: Math.max(...ys) };
  });
  all.sort((a, b) => a.y - b.y || a.x - b.x);
  return { width: layout.width, height: layout.height, nodes: all, edges, byId };
}

/** The first node at or below a height. */
export function firstFrom(nodes: readonly SceneNode[], y: number): number {
  let low = 0;
  let high = nodes.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if ((nodes[middle]?.y ?? Infinity) < y) low = middle + 1;
    else high = middle;
  }
  return low;
}

export function nodeAt({ nodes }: Scene, x: number, y: number): SceneNode | undefined {
  const { width, height } = CARD;
  for (let at = firstFrom(nodes, y - height); at < nodes.length; at++) {
    const node = nodes[at];
    if (node === undefined || node.y > y + height) return undefined;
    if (Math.abs(node.x - x) <= width / 2 && Math.abs(node.y - y) <= height / 2) return node;
  }
  return undefined;
}
