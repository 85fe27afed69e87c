/** The graph on a canvas: cards when near, marks when far; only what can be seen. */
import type { GraphEvent, Standing } from "../inspect/graph.js";
import { cardText, clip, isPlain, WOULD_SOFT_FAIL } from "./labels.js";
import { CARD } from "./layout.js";
import { firstFrom } from "./scene.js";
import type { SoftFailure } from "./protocol.js";
import type { Scene, SceneEdge, SceneNode } from "./scene.js";
import { FONT } from "./theme.js";
import type { Theme } from "./theme.js";

/** What the page wants to be seen, beside the graph itself. */
export interface Look {
  readonly theme: Theme;
  readonly selected: string | undefined;
  readonly picked: readonly string[];
  /** Where set, everything else steps back. */
  readonly lit: ReadonlySet<string> | undefined;
  /** Events that a resolution took back, and how. */
  readonly taken: ReadonlyMap<string, "reset" | "rolled back">;
  /** Events that were soft-failed, or would have been in the order of the file. */
  readonly soft: ReadonlyMap<string, SoftFailure>;
  /** Whether an event has come yet, by the slider. */
  readonly isThere: (event: GraphEvent) => boolean;
  /** Servers and their place among the colours. */
  readonly servers: ReadonlyMap<string, number>;
}

export interface View {
  readonly x: number;
  readonly y: number;
  readonly k: number;
  readonly width: number;
  readonly height: number;
  readonly ratio: number;
}

/** Below this scale text cannot be read, and marks take its place. */
const READABLE = 0.5;

export function paint(context: CanvasRenderingContext2D, scene: Scene, look: Look, view: View): void {
  const { x, y, k, width, height, ratio } = view;
  context.setTransform(ratio, 0, 0, ratio, 0, 0);
  context.fillStyle = look.theme.ground;
  context.fillRect(0, 0, width, height);
  context.translate(x, y);
  context.scale(k, k);
  const top = -y / k - CARD.height;
  const bottom = (height - y) / k + CARD.height;
  const left = -x / k - CARD.width;
  const right = (width - x) / k + CARD.width;
  const selected = look.selected === undefined ? undefined : scene.byId.get(look.selected);
  for (const edge of scene.edges) {
    if (edge.bottom >= top && edge.top <= bottom) paintEdge(context, scene, edge, look, selected, k);
  }
  if (selected !== undefined) paintAuthority(context, scene, selected, look, k);
  for (let at = firstFrom(scene.nodes, top); at < scene.nodes.length; at++) {
    const node = scene.nodes[at];
    if (node === undefined || node.y > bottom) break;
    if (node.x >= left && node.x <= right) paintNode(context, node, look, k);
  }
  context.globalAlpha = 1;
}

/** How much a node steps forward: what has not come yet is nearly gone, what is not spoken of is faint. */
function presence({ node }: SceneNode, look: Look): number {
  const events = node.kind === "event" ? [node.event] : node.kind === "run" ? node.events : [];
  if (events.length > 0 && !events.some(look.isThere)) return 0.07;
  if (look.lit === undefined) return 1;
  const { lit } = look;
  const isLit = node.kind === "absent" ? lit.has(node.id) : events.some(({ eventId }) => lit.has(eventId));
  return isLit ? 1 : 0.3;
}

function paintEdge(
  context: CanvasRenderingContext2D,
  scene: Scene,
  edge: SceneEdge,
  look: Look,
  selected: SceneNode | undefined,
  k: number,
): void {
  const child = scene.byId.get(edge.child);
  const parent = scene.byId.get(edge.parent);
  if (child === undefined || parent === undefined) return;
  const near = selected !== undefined && (child === selected || parent === selected);
  context.globalAlpha = Math.min(presence(child, look), presence(parent, look));
  context.strokeStyle = near ? look.theme.accent : look.theme.edge;
  context.lineWidth = Math.max(near ? 2.2 : 1.4, (near ? 1.6 : 0.8) / k);
  context.beginPath();
  const last = edge.points.length - 1;
  edge.points.forEach(([px, py], at) => {
    const py2 = at === 0 ? py + CARD.height / 2 : at === last ? py - CARD.height / 2 : py;
    const before = edge.points[at - 1];
    if (before === undefined) context.moveTo(px, py2);
    else {
      const [bx, by] = [before[0], at === 1 ? before[1] + CARD.height / 2 : before[1]];
      const middle = (by + py2) / 2;
      context.bezierCurveTo(bx, middle, px, middle, px, py2);
    }
  });
  context.stroke();
}

/** Dotted lines from an event to those that it cites as authority. */
function paintAuthority(
  context: CanvasRenderingContext2D,
  scene: Scene,
  selected: SceneNode,
  look: Look,
  k: number,
): void {
  if (selected.node.kind !== "event") return;
  context.strokeStyle = look.theme.accent;
  context.globalAlpha = 0.75;
  context.lineWidth = Math.max(1.2, 0.9 / k);
  context.setLineDash([2, 4]);
  for (const id of selected.node.event.authEvents) {
    const cited = scene.byId.get(id);
    if (cited === undefined || cited === selected) continue;
    const side = (CARD.width / 2) * (selected.x * 2 < scene.width - 1 ? -1 : 1);
    const reach = Math.sign(side) * (26 + Math.min(90, Math.abs(selected.y - cited.y) / 12));
    context.beginPath();
    context.moveTo(selected.x + side, selected.y);
    context.bezierCurveTo(
      selected.x + side + reach,
      selected.y,
      cited.x + side + reach,
      cited.y,
      cited.x + side,
      cited.y,
    );
    context.stroke();
  }
  context.setLineDash([]);
}

const borders: Readonly<
  Record<Standing, { readonly colour: keyof Theme; readonly width: number; readonly dash: readonly number[] }>
> = {
  accepted: { colour: "line", width: 1, dash: [] },
  unchecked: { colour: "line", width: 1, dash: [] },
  "soft-failed": { colour: "warn", width: 1.6, dash: [7, 4] },
  rejected: { colour: "bad", width: 2, dash: [] },
  pending: { colour: "quiet", width: 1.4, dash: [2, 3] },
  dropped: { colour: "bad", width: 1.6, dash: [2, 3] },
};

function paintNode(context: CanvasRenderingContext2D, scene: SceneNode, look: Look, k: number): void {
  const { node, x, y } = scene;
  const { theme } = look;
  context.globalAlpha = presence(scene, look);
  const isSelected =
    node.id === look.selected || (node.kind === "run" && node.events.some((e) => e.eventId === look.selected));
  const picked = look.picked.indexOf(node.id);
  if (k < READABLE) {
    paintMark(context, scene, look, k, isSelected || picked >= 0);
    return;
  }
  const left = x - CARD.width / 2;
  const top = y - CARD.height / 2;
  const isMessage = node.kind === "event" && node.event.stateKey === undefined;
  const radius = isMessage ? CARD.height / 2 : 7;
  const border = node.kind === "event" ? borders[node.event.standing] : { colour: "edge" as const, width: 1, dash: [] };
  if (node.kind === "run") {
    for (const offset of [6, 3]) {
      box(context, left + offset, top + offset, radius);
      context.fillStyle = theme.card;
      context.fill();
      context.strokeStyle = theme.line;
      context.lineWidth = 1;
      context.stroke();
    }
  }
  box(context, left, top, radius);
  context.fillStyle = node.kind === "absent" ? theme.ground : isSelected ? theme.tint : theme.card;
  context.fill();
  context.strokeStyle = isSelected ? theme.accent : (theme[border.colour] as string);
  context.lineWidth = isSelected ? 2.4 : border.width;
  context.setLineDash(node.kind === "absent" ? [2, 3] : [...border.dash]);
  context.stroke();
  context.setLineDash([]);
  glyph(context, scene, look, left + 22, y, 7);
  paintText(context, scene, look, left + 40, y);
  if (picked >= 0) paintBadge(context, theme, left + CARD.width - 4, top + 4, String(picked + 1));
}

function box(context: CanvasRenderingContext2D, left: number, top: number, radius: number): void {
  context.beginPath();
  context.roundRect(left, top, CARD.width, CARD.height, radius);
}

function paintText(context: CanvasRenderingContext2D, { node }: SceneNode, look: Look, left: number, y: number): void {
  const { theme } = look;
  const { title, gist, foot } = cardText(node);
  const standing = node.kind === "event" ? node.event.standing : "accepted";
  context.textBaseline = "alphabetic";
  context.font = `600 12.5px ${FONT}`;
  context.fillStyle = standing === "rejected" || standing === "dropped" ? theme.bad : theme.ink;
  const room = CARD.width - 54;
  const head = fit(context, clip(title, 40), room);
  context.fillText(head, left, y - 3.5);
  const used = context.measureText(head).width;
  if (node.kind === "event" && (standing === "rejected" || standing === "dropped" || node.event.redacted)) {
    context.fillRect(left, y - 8, used, 1.2);
  }
  if (gist !== "" && room - used > 24) {
    context.font = `12.5px ${FONT}`;
    context.fillStyle = theme.ink;
    context.fillText(fit(context, clip(gist, 40), room - used - 7), left + used + 7, y - 3.5);
  }
  context.font = `11px ${FONT}`;
  context.fillStyle = theme.quiet;
  const note = notesOf(node, look).join(", ");
  const noteWidth = note === "" ? 0 : context.measureText(note).width + 8;
  context.fillText(fit(context, clip(foot, 60), room - noteWidth), left, y + 13);
  if (note !== "") {
    context.fillStyle = theme[noteColour(node, look)];
    context.fillText(note, left + room - noteWidth + 8, y + 13);
  }
}

/** What is said of an event beside its sender. */
function notesOf(node: SceneNode["node"], { taken, soft }: Look): readonly string[] {
  if (node.kind !== "event") return [];
  const { standing, redacted, eventId } = node.event;
  const notes = [
    isPlain(standing) ? "" : standing,
    soft.get(eventId)?.isRecorded === false ? WOULD_SOFT_FAIL : "",
    taken.get(eventId) ?? "",
    redacted ? "redacted" : "",
  ];
  return notes.filter((note) => note !== "");
}

function noteColour(node: SceneNode["node"], { taken, soft }: Look): "warn" | "bad" | "quiet" {
  if (node.kind !== "event") return "quiet";
  const { standing, eventId } = node.event;
  if (standing === "rejected" || standing === "dropped" || taken.get(eventId) === "reset") return "bad";
  return soft.has(eventId) || standing === "soft-failed" || taken.has(eventId) ? "warn" : "quiet";
}

const widths = new Map<string, string>();

/** Text that fits a width, cut with an ellipsis; remembered, because a frame asks for hundreds. */
function fit(context: CanvasRenderingContext2D, text: string, width: number): string {
  const name = `${context.font}|${Math.round(width)}|${text}`;
  const known = widths.get(name);
  if (known !== undefined) return known;
  let cut = text;
  if (context.measureText(text).width > width) {
    const chars = [...text];
    let low = 0;
    let high = chars.length;
    while (low < high) {
      const middle = (low + high + 1) >>> 1;
      if (context.measureText(`${chars.slice(0, middle).join("")}…`).width <= width) low = middle;
      else high = middle - 1;
    }
    cut = `${chars.slice(0, low).join("")}…`;
  }
  if (widths.size > 20_000) widths.clear();
  widths.set(name, cut);
  return cut;
}

/** A square for state and a circle for messages, in the colour of the server; the verdict is in its filling. */
function glyph(
  context: CanvasRenderingContext2D,
  { node }: SceneNode,
  look: Look,
  x: number,
  y: number,
  r: number,
): void {
  const { theme, servers } = look;
  context.lineWidth = r / 4;
  if (node.kind !== "event") {
    context.fillStyle = theme.quiet;
    for (const dx of [-1, 0, 1]) {
      context.beginPath();
      if (node.kind === "run") context.arc(x, y + dx * r * 0.75, r / 4.5, 0, 2 * Math.PI);
      else context.arc(x + dx * r * 0.75, y, r / 4.5, 0, 2 * Math.PI);
      context.fill();
    }
    return;
  }
  const { event } = node;
  const colour = theme.servers[(servers.get(event.server) ?? 0) % theme.servers.length] ?? theme.quiet;
  context.beginPath();
  if (event.stateKey === undefined) context.arc(x, y, r, 0, 2 * Math.PI);
  else context.roundRect(x - r * 0.92, y - r * 0.92, r * 1.84, r * 1.84, r / 4);
  context.fillStyle = colour;
  context.strokeStyle = colour;
  switch (event.standing) {
    case "accepted":
      context.fill();
      break;
    case "unchecked":
      context.stroke();
      break;
    case "soft-failed":
      context.stroke();
      context.save();
      context.clip();
      context.fillRect(x - r, y, 2 * r, r);
      context.restore();
      break;
    case "pending":
      context.stroke();
      context.textBaseline = "middle";
      context.textAlign = "center";
      context.font = `700 ${r * 1.7}px ${FONT}`;
      context.fillText("?", x, y + r * 0.1);
      context.textAlign = "left";
      break;
    case "rejected":
    case "dropped":
      context.strokeStyle = theme.bad;
      context.stroke();
      context.beginPath();
      context.moveTo(x - r * 0.5, y - r * 0.5);
      context.lineTo(x + r * 0.5, y + r * 0.5);
      if (event.standing === "rejected") {
        context.moveTo(x + r * 0.5, y - r * 0.5);
        context.lineTo(x - r * 0.5, y + r * 0.5);
      }
      context.stroke();
      break;
  }
  if (event.redacted) {
    context.fillStyle = theme.card;
    context.fillRect(x - r * 0.6, y - r * 0.16, r * 1.2, r * 0.32);
  }
}

/** A node from afar: marks keep a size that can be seen until they would cover each other. */
function paintMark(
  context: CanvasRenderingContext2D,
  scene: SceneNode,
  look: Look,
  k: number,
  isChosen: boolean,
): void {
  const r = Math.min(CARD.height / 2, Math.max(9, 3.2 / k));
  glyph(context, scene, look, scene.x, scene.y, r);
  if (!isChosen) return;
  context.beginPath();
  context.arc(scene.x, scene.y, r + 4 / k, 0, 2 * Math.PI);
  context.strokeStyle = look.theme.accent;
  context.lineWidth = 2 / k;
  context.stroke();
}

function paintBadge(context: CanvasRenderingContext2D, theme: Theme, x: number, y: number, text: string): void {
  context.globalAlpha = 1;
  context.beginPath();
  context.arc(x, y, 9, 0, 2 * Math.PI);
  context.fillStyle = theme.accent;
  context.fill();
  context.fillStyle = theme.panel;
  context.font = `700 11px ${FONT}`;
  context.textAlign = "center";
  context.textBaseline = "middle";
  context.fillText(text, x, y + 0.5);
  context.textAlign = "left";
}
