/** A directory of lists. */
import type { JsonObject } from "../../json/value.js";
import type { AliasTarget, Directory, RoomNetwork } from "../../ports/directory.js";

/** An alias and what it stands for. */
export interface AliasEntry extends AliasTarget {
  readonly alias: string;
}

/** What may be known of a user; `"withheld"` if the server does not say. */
export interface ProfileEntry {
  readonly userId: string;
  readonly profile: JsonObject | "withheld";
}

/** A room that is listed, under Matrix itself or under a network that is bridged. */
export interface PublishedRoom {
  readonly roomId: string;
  readonly instanceId?: string;
}

/** An OpenID token and the user who generated it. It does not expire. */
export interface OpenIdEntry {
  readonly accessToken: string;
  readonly userId: string;
}

/** What a server tells others. */
export interface DirectoryLists {
  readonly aliases?: Iterable<AliasEntry>;
  readonly profiles?: Iterable<ProfileEntry>;
  /** In the order in which they are shown. */
  readonly publishedRooms?: Iterable<PublishedRoom>;
  readonly openIdTokens?: Iterable<OpenIdEntry>;
  readonly software?: { readonly name: string; readonly version: string };
}

/** Knows what is in the lists, by exactly what is written there. A list that is not given is a part that it lacks. */
export function createListDirectory(lists: DirectoryLists): Directory {
  const { aliases, profiles, publishedRooms, openIdTokens, software } = lists;
  return Object.freeze({
    ...(aliases === undefined ? {} : { alias: aliasesOf(aliases) }),
    ...(profiles === undefined ? {} : { profile: profilesOf(profiles) }),
    ...(publishedRooms === undefined ? {} : { publishedRooms: roomsOf(publishedRooms) }),
    ...(openIdTokens === undefined ? {} : { openIdUser: tokensOf(openIdTokens) }),
    ...(software === undefined ? {} : { software: Object.freeze({ ...software }) }),
  });
}

function aliasesOf(entries: Iterable<AliasEntry>): NonNullable<Directory["alias"]> {
  const targets = new Map<string, AliasTarget>();
  for (const { alias, roomId, servers } of entries) {
    targets.set(alias, Object.freeze({ roomId, ...(servers === undefined ? {} : { servers: [...servers] }) }));
  }
  return (alias) => targets.get(alias);
}

function profilesOf(entries: Iterable<ProfileEntry>): NonNullable<Directory["profile"]> {
  const profiles = new Map(Array.from(entries, ({ userId, profile }) => [userId, profile] as const));
  return (userId) => profiles.get(userId);
}

function roomsOf(entries: Iterable<PublishedRoom>): NonNullable<Directory["publishedRooms"]> {
  const rooms = [...entries];
  return ({ allNetworks = false, instanceId }: RoomNetwork) => {
    const listed = rooms.filter((room) => allNetworks || room.instanceId === instanceId);
    // A room may be listed under several networks.
    return [...new Set(listed.map(({ roomId }) => roomId))];
  };
}

function tokensOf(entries: Iterable<OpenIdEntry>): NonNullable<Directory["openIdUser"]> {
  const users = new Map(Array.from(entries, ({ accessToken, userId }) => [accessToken, userId] as const));
  return (accessToken) => users.get(accessToken);
}
