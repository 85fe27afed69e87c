/** Walking the graph by keys. */
import type { Scene, SceneNode } from "./scene.js";

/** Where a key leads from a node; `undefined` for other keys and where there is nothing. */
export function walk({ nodes }: Scene, from: SceneNode | undefined, key: string): SceneNode | undefined {
  if (key === "Home") return nodes[0];
  if (key === "End") return nodes.at(-1);
  const isArrow = key === "ArrowUp" || key === "ArrowDown" || key === "ArrowLeft" || key === "ArrowRight";
  if (!isArrow) return undefined;
  if (from === undefined) return key === "ArrowUp" ? nodes.at(-1) : nodes[0];
  switch (key) {
    case "ArrowUp":
      return nearest(from.parents, from);
    case "ArrowDown":
      return nearest(from.children, from);
    case "ArrowLeft":
      return beside(from, -1);
    case "ArrowRight":
      return beside(from, 1);
  }
}

function nearest(nodes: readonly SceneNode[], { x }: SceneNode): SceneNode | undefined {
  return nodes.toSorted((a, b) => Math.abs(a.x - x) - Math.abs(b.x - x))[0];
}

/** The next branch to a side: other children of the parents, or other parents of the children. */
function beside(from: SceneNode, side: 1 | -1): SceneNode | undefined {
  const kin = [...from.parents.flatMap(({ children }) => children), ...from.children.flatMap(({ parents }) => parents)];
  const there = [...new Set(kin)].filter((node) => node !== from && (node.x - from.x) * side > 1);
  return there.toSorted((a, b) => Math.abs(a.x - from.x) - Math.abs(b.x - from.x))[0];
}
