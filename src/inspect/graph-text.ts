/** Graphs of rooms for Graphviz and Mermaid. */
import { foldRuns } from "./graph.js";
import type { FoldOptions, GraphEvent, GraphNode, RoomGraph, Standing } from "./graph.js";
import { printable } from "./format.js";

/** What a state event is known by: its type, and its state key where that is not empty. */
function keyOf({ type, stateKey }: GraphEvent): string {
  return stateKey === undefined || stateKey === "" ? type : `${type} ${stateKey}`;
}

function isPlain({ standing }: GraphEvent): boolean {
  return standing === "accepted" || standing === "unchecked";
}

/** The lines of a node. */
function linesOf(node: GraphNode): readonly string[] {
  switch (node.kind) {
    case "absent":
      return ["not in the file", node.id];
    case "run":
      return [`${node.events.length} events`, `${keyOf(node.events[0])} …`];
    case "event": {
      const { event } = node;
      const marks = [isPlain(event) ? "" : event.standing, event.redacted ? "redacted" : ""];
      const says = [event.gist, ...marks].filter((part) => part !== "").join(", ");
      return [keyOf(event), says, event.sender].filter((line) => line !== "");
    }
  }
}

const dotStyles: Readonly<Record<Standing, string>> = {
  accepted: "",
  unchecked: "",
  "soft-failed": ' style="dashed,rounded" color="#9a6700"',
  rejected: ' style="bold" color="#b3261e" fontcolor="#b3261e"',
  pending: ' style="dotted" color="#5f6368"',
  dropped: ' style="bold,dotted" color="#b3261e" fontcolor="#b3261e"',
};

/** Any text as a quoted DOT string. */
function dotText(text: string): string {
  return printable(text).replace(/[\\"]/g, "\\$&");
}

/** The graph in the DOT language of Graphviz: children point to their parents, and stand below them. */
export function formatDot(graph: RoomGraph, options: FoldOptions = {}): string {
  const nodes = foldRuns(graph, options);
  const lines = nodes.map((node) => {
    const label = linesOf(node).map(dotText).join("\\n");
    const shape = node.kind === "event" ? (node.event.stateKey === undefined ? "ellipse" : "box") : "plaintext";
    const style = node.kind === "event" ? dotStyles[node.event.standing] : ' fontcolor="#5f6368"';
    return `  "${dotText(node.id)}" [label="${label}" shape=${shape}${style}];`;
  });
  const edges = nodes.flatMap(({ id, parents }) =>
    parents.map((parent) => `  "${dotText(parent)}" -> "${dotText(id)}" [dir=back];`),
  );
  return [
    "digraph room {",
    `  graph [label="${dotText(graph.roomId ?? "room")}" labelloc=t fontname="sans-serif"];`,
    '  node [fontname="sans-serif" fontsize=11];',
    '  edge [color="#80868b" arrowsize=0.6];',
    ...lines,
    ...edges,
    "}",
    "",
  ].join("\n");
}

/** Mermaid reads `#…;` as entities in quoted text, and so can everything that it would read otherwise be written. */
function mermaidText(text: string): string {
  return printable(text).replace(/[^\p{L}\p{N} .,:@/_$!+=-]/gu, (char) => `#${char.codePointAt(0) ?? 63};`);
}

const mermaidClasses: Readonly<Record<Standing, string>> = {
  accepted: "accepted",
  unchecked: "accepted",
  "soft-failed": "soft",
  rejected: "rejected",
  pending: "pending",
  dropped: "dropped",
};

/** The graph as a Mermaid flowchart, top down. */
export function formatMermaid(graph: RoomGraph, options: FoldOptions = {}): string {
  const nodes = foldRuns(graph, options);
  const names = new Map(nodes.map(({ id }, at) => [id, `e${at}`]));
  const lines = nodes.map((node) => {
    const label = linesOf(node).map(mermaidText).join("<br/>");
    const isMessage = node.kind === "event" && node.event.stateKey === undefined;
    const [open, close] = isMessage ? ["([", "])"] : ["[", "]"];
    const mark = node.kind === "event" ? mermaidClasses[node.event.standing] : "aside";
    return `  ${names.get(node.id) ?? ""}${open}"${label}"${close}:::${mark}`;
  });
  const edges = nodes.flatMap(({ id, parents }) =>
    parents.map((parent) => `  ${names.get(parent) ?? ""} --> ${names.get(id) ?? ""}`),
  );
  return [
    "flowchart TB",
    ...lines,
    ...edges,
    "  classDef accepted stroke:#5f6368",
    "  classDef soft stroke:#9a6700,stroke-dasharray:6 3",
    "  classDef rejected stroke:#b3261e,stroke-width:3px",
    "  classDef pending stroke:#5f6368,stroke-dasharray:2 2",
    "  classDef dropped stroke:#b3261e,stroke-dasharray:2 2",
    "  classDef aside stroke-width:0px",
    "",
  ].join("\n");
}
