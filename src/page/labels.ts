/** Words for what is drawn. Text of events is only ever set as text, and cleared of what would reorder it. */
import { printable } from "../inspect/format.js";
import type { GraphEvent, GraphNode, Standing } from "../inspect/graph.js";
import type { SoftFailure } from "./protocol.js";

/** Types of the specification are known without their prefix. */
export function shortType(type: string): string {
  return printable(type.startsWith("m.room.") && type.length > 7 ? type.slice(7) : type).replaceAll("_", " ");
}

export function clip(text: string, length: number): string {
  const chars = [...text];
  return chars.length > length ? `${chars.slice(0, length - 1).join("")}…` : text;
}

/** `$abcdefgh…`, enough to tell events of a room apart. */
export function shortId(eventId: string): string {
  return clip(printable(eventId), 12);
}

export function keyName(type: string, stateKey: string | undefined): string {
  return printable(stateKey === undefined || stateKey === "" ? type : `${type} ${stateKey}`);
}

export const standingWords: Readonly<Record<Standing, string>> = {
  accepted: "accepted",
  "soft-failed": "soft-failed",
  rejected: "rejected",
  pending: "pending",
  dropped: "dropped",
  unchecked: "not checked yet",
};

export const standingSentences: Readonly<Record<Standing, string>> = {
  accepted: "The rules allow it where it stands.",
  "soft-failed":
    "The rules allow it where it stands, but not by the state that the server had when it came: it counts for the " +
    "graph and is shown to nobody.",
  rejected: "The rules refuse it: it changes nothing, and what rests on it falls too.",
  pending: "What it rests on is not in the file, so nothing is said about it.",
  unchecked: "The rules are still being asked about it.",
  dropped: "No server stores it: it has not the form of an event, or is not validly signed.",
};

/** Said of what the file does not record as soft-failed, and its order makes so. */
export const WOULD_SOFT_FAIL = "would soft-fail";

/** What is known of a soft failure, and how. */
export function softSentence({ isRecorded, refusal }: SoftFailure): string {
  if (!isRecorded) {
    return (
      "Worked out, not recorded: a server that got the events in the order of this file would have soft-failed it, " +
      "because of the state that was current by then."
    );
  }
  return refusal === undefined
    ? "The server recorded it as soft-failed. The order of this file does not lead to it: the server had another " +
        "state then, or its policy refused it."
    : "The server recorded it as soft-failed, and the order of this file leads to the same.";
}

/** The two lines of a card. */
export function cardText(node: GraphNode): { readonly title: string; readonly gist: string; readonly foot: string } {
  switch (node.kind) {
    case "absent":
      return { title: "not in the file", gist: "", foot: shortId(node.id) };
    case "run": {
      const state = node.events.filter(({ stateKey }) => stateKey !== undefined).length;
      const senders = new Set(node.events.map(({ sender }) => sender)).size;
      const foot = `${plural(state, "state event")}, ${plural(senders, "sender")}`;
      return { title: `${node.events.length} events`, gist: "in a row", foot };
    }
    case "event":
      return { title: shortType(node.event.type), gist: gistOf(node.event), foot: printable(node.event.sender) };
  }
}

function gistOf({ gist, stateKey, sender, type }: GraphEvent): string {
  if (gist !== "") return printable(gist);
  return stateKey === undefined || stateKey === "" || (type === "m.room.member" && stateKey === sender)
    ? ""
    : printable(stateKey);
}

/** A node in one sentence, for those who listen. */
export function sentenceOf(node: GraphNode): string {
  if (node.kind === "absent") return `${node.id}, not in the file`;
  if (node.kind === "run") return `${node.events.length} events in a row, folded`;
  const { event } = node;
  const kind = event.stateKey === undefined ? "message event" : "state event";
  const parents =
    event.parents.length === 1 ? "" : event.parents.length === 0 ? ", no parents" : `, merges ${event.parents.length}`;
  const standing = standingWords[event.standing] + (event.redacted ? ", redacted" : "");
  const says = gistOf(event);
  return printable(
    `${shortType(event.type)}${says === "" ? "" : ` ${says}`}, by ${event.sender}, ${kind}, ${standing}, ` +
      `layer ${event.layer}${parents}`,
  );
}

export function plural(count: number, noun: string): string {
  return `${count.toLocaleString("en")} ${noun}${count === 1 ? "" : "s"}`;
}

export function timeText(ts: number): string {
  const date = new Date(ts);
  return Number.isNaN(date.getTime())
    ? String(ts)
    : date
        .toISOString()
        .replace("T", " ")
        .replace(/\.\d+Z$/, " UTC");
}

/** Whether a verdict is one that pictures leave unsaid. */
export function isPlain(standing: Standing): boolean {
  return standing === "accepted" || standing === "unchecked";
}
