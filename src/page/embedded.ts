/** What a page was made with: rooms, and links of the site around it. */
import type { Source } from "./protocol.js";

export interface Link {
  readonly text: string;
  readonly href: string;
}

export interface Embedded {
  readonly rooms: readonly Source[];
  /** Rooms to choose from where none is open. */
  readonly examples: readonly Source[];
  readonly links: readonly Link[];
}

/** The id of the element that holds it. */
export const EMBEDDED = "room-data";
