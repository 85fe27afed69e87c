/** A graph as a picture of its own: the same places and marks as on the page, as SVG. */
import { printable } from "../inspect/format.js";
import type { GraphNode, RoomGraph, Standing } from "../inspect/graph.js";
import { cardText, clip, isPlain } from "./labels.js";
import { CARD } from "./layout.js";
import type { Edge, Place } from "./layout.js";
import type { Drawing } from "./protocol.js";
import { FONT } from "./theme.js";
import type { Theme } from "./theme.js";

const MARGIN = 24;
const HEAD = 34;
const LONGEST_TITLE = 23;

/** Text as XML takes it; characters that XML has no place for are written out by their number. */
function xml(text: string): string {
  return printable(text)
    .replace(/[\ud800-\udfff\ufffe\uffff]/gu, "\ufffd")
    .replace(/[&<>"']/g, (char) => `&#${char.charCodeAt(0)};`);
}

const number = (value: number): string => String(Math.round(value * 10) / 10);

/** The whole drawing. Every node has its words as a `title`, which viewers show and screen readers read. */
export function formatSvg(graph: RoomGraph, { nodes, layout }: Drawing, theme: Theme): string {
  const servers = new Map<string, number>();
  for (const { server } of graph.events) if (!servers.has(server)) servers.set(server, servers.size);
  const width = Math.max(layout.width, 320) + 2 * MARGIN;
  const height = layout.height + 2 * MARGIN + HEAD;
  const shift = (width - layout.width) / 2;
  const name = `Room ${graph.roomId ?? ""}, version ${graph.roomVersion}`;
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" width="${number(width)}" height="${number(height)}" ` +
      `viewBox="0 0 ${number(width)} ${number(height)}" font-family="${xml(FONT)}" role="img">`,
    `<title>${xml(name)}: ${graph.events.length} events</title>`,
    `<rect width="100%" height="100%" fill="${theme.ground}"/>`,
    `<text x="${MARGIN}" y="${MARGIN + 6}" font-size="13" fill="${theme.quiet}">${xml(name)}</text>`,
    `<g transform="translate(${number(shift)} ${MARGIN + HEAD})">`,
    `<g fill="none" stroke="${theme.edge}" stroke-width="1.4">`,
    ...layout.edges.map((edge) => `<path d="${pathOf(edge)}"/>`),
    "</g>",
    ...nodes.map((node, at) => nodeOf(node, layout.places[at] ?? { x: 0, y: 0 }, servers, theme)),
    "</g>",
    "</svg>",
    "",
  ].join("\n");
}

/** From the lower edge of the parent's card to the upper edge of the child's. */
export function curvesOf({ points }: Edge): readonly (readonly [x: number, y: number])[] {
  const last = points.length - 1;
  return points.map(([x, y], at) => [x, at === 0 ? y + CARD.height / 2 : at === last ? y - CARD.height / 2 : y]);
}

function pathOf(edge: Edge): string {
  const points = curvesOf(edge);
  return points
    .map(([x, y], at) => {
      const before = points[at - 1];
      if (before === undefined) return `M${number(x)} ${number(y)}`;
      const middle = number((before[1] + y) / 2);
      return `C${number(before[0])} ${middle} ${number(x)} ${middle} ${number(x)} ${number(y)}`;
    })
    .join("");
}

const borders: Readonly<Record<Standing, (theme: Theme) => string>> = {
  accepted: ({ line }) => `stroke="${line}"`,
  unchecked: ({ line }) => `stroke="${line}"`,
  "soft-failed": ({ warn }) => `stroke="${warn}" stroke-width="1.6" stroke-dasharray="7 4"`,
  rejected: ({ bad }) => `stroke="${bad}" stroke-width="2"`,
  pending: ({ quiet }) => `stroke="${quiet}" stroke-width="1.4" stroke-dasharray="2 3"`,
  dropped: ({ bad }) => `stroke="${bad}" stroke-width="1.6" stroke-dasharray="2 3"`,
};

function nodeOf(node: GraphNode, { x, y }: Place, servers: ReadonlyMap<string, number>, theme: Theme): string {
  const isMessage = node.kind === "event" && node.event.stateKey === undefined;
  const standing = node.kind === "event" ? node.event.standing : "accepted";
  const { title, gist, foot } = cardText(node);
  const isRefused = standing === "rejected" || standing === "dropped";
  const isRedacted = node.kind === "event" && node.event.redacted;
  const border =
    node.kind === "event"
      ? borders[standing](theme)
      : `stroke="${theme.edge}"${node.kind === "absent" ? ' stroke-dasharray="2 3"' : ""}`;
  const notes = [isPlain(standing) ? "" : standing, isRedacted ? "redacted" : ""].filter((note) => note !== "");
  const strike = isRefused || isRedacted ? ' text-decoration="line-through"' : "";
  // Nothing here can measure text: bold letters are about 7.2 wide, others 6.6.
  const left = Math.floor((CARD.width - 54 - Math.min(title.length, LONGEST_TITLE) * 7.2) / 6.6);
  const says = gist === "" || left < 4 ? "" : ` <tspan font-weight="400">${xml(clip(gist, left))}</tspan>`;
  const { width, height } = CARD;
  return [
    `<g transform="translate(${number(x - width / 2)} ${number(y - height / 2)})">`,
    `<title>${xml(node.kind === "event" ? `${node.id} ${node.event.type}` : node.id)}</title>`,
    `<rect width="${width}" height="${height}" rx="${isMessage ? height / 2 : 7}" fill="${theme.card}" ${border}/>`,
    glyphOf(node, servers, theme),
    `<text x="40" y="19.5" font-size="12.5" font-weight="600" fill="${isRefused ? theme.bad : theme.ink}">` +
      `<tspan${strike}>${xml(clip(title, LONGEST_TITLE))}</tspan>${says}</text>`,
    `<text x="40" y="36" font-size="11" fill="${theme.quiet}">${xml(clip(foot, notes.length > 0 ? 20 : 32))}` +
      `${notes.length > 0 ? ` <tspan font-weight="600">${notes.join(", ")}</tspan>` : ""}</text>`,
    "</g>",
  ].join("");
}

function glyphOf(node: GraphNode, servers: ReadonlyMap<string, number>, theme: Theme): string {
  const y = CARD.height / 2;
  if (node.kind !== "event") {
    return [-5, 0, 5].map((dy) => `<circle cx="22" cy="${y + dy}" r="1.6" fill="${theme.quiet}"/>`).join("");
  }
  const { event } = node;
  const colour = theme.servers[(servers.get(event.server) ?? 0) % theme.servers.length] ?? theme.quiet;
  const shape = (style: string): string =>
    event.stateKey === undefined
      ? `<circle cx="22" cy="${y}" r="7" ${style}/>`
      : `<rect x="15.6" y="${y - 6.4}" width="12.8" height="12.8" rx="2" ${style}/>`;
  const hollow = (stroke: string): string => shape(`fill="none" stroke="${stroke}" stroke-width="1.7"`);
  const redacted = event.redacted ? `<rect x="18" y="${y - 1.1}" width="8" height="2.2" fill="${theme.card}"/>` : "";
  switch (event.standing) {
    case "accepted":
      return shape(`fill="${colour}"`) + redacted;
    case "unchecked":
      return hollow(colour);
    case "soft-failed":
      return `${hollow(colour)}<path d="M15.5 ${y}h13a6.5 6.5 0 0 1-13 0z" fill="${colour}"/>${redacted}`;
    case "pending":
      return (
        `${hollow(colour)}<text x="22" y="${y + 4}" font-size="11" font-weight="700" text-anchor="middle" ` +
        `fill="${colour}">?</text>`
      );
    case "rejected":
      return `${hollow(theme.bad)}<path d="M18.5 ${y - 3.5}l7 7m0-7l-7 7" stroke="${theme.bad}" stroke-width="1.8"/>`;
    case "dropped":
      return `${hollow(theme.bad)}<path d="M18.5 ${y - 3.5}l7 7" stroke="${theme.bad}" stroke-width="1.8"/>`;
  }
}
