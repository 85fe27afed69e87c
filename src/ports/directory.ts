/** What a host knows of its users and rooms that is in no room: names, profiles, what it publishes. */
import type { JsonObject } from "../json/value.js";
import type { Awaitable, Cancel } from "./cancel.js";

/** What an alias stands for. */
export interface AliasTarget {
  readonly roomId: string;
  /** Servers to join by. Left out: those that are in the room, as far as this server is in it too. */
  readonly servers?: readonly string[];
}

/** Which of the networks that a host bridges to a list of rooms is about. Neither: those of Matrix itself. */
export interface RoomNetwork {
  readonly allNetworks?: boolean;
  readonly instanceId?: string;
}

/**
 * What other servers may ask of this one beside its rooms. Every part may be left out: what is asked of it then is
 * answered as not found, or as an operation that the server does not have. Nothing is asked for what belongs to
 * another server.
 */
export interface Directory {
  /** What an alias of this server stands for. */
  alias?(alias: string, cancel?: Cancel): Awaitable<AliasTarget | undefined>;
  /**
   * What may be known of a user: `displayname`, `avatar_url`, `m.tz`, and whatever else the host keeps; what is not set
   * is left out. `"withheld"` if the server does not say, `undefined` if there is no such user.
   */
  profile?(userId: string, cancel?: Cancel): Awaitable<JsonObject | "withheld" | undefined>;
  /**
   * Ids of the rooms that this server lists for everybody to see, each once, in the order in which it shows them. None
   * for a network that it does not bridge.
   */
  publishedRooms?(network: RoomNetwork, cancel?: Cancel): Awaitable<readonly string[]>;
  /** The user of this server who generated an OpenID token; `undefined` if it is unknown or has expired. */
  openIdUser?(accessToken: string, cancel?: Cancel): Awaitable<string | undefined>;
  /** What software this is. */
  readonly software?: { readonly name: string; readonly version: string };
}
