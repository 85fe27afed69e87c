/** The promises of a directory. */
import { isContentUri } from "../../federation/queries/summary.js";
import { domainOf, isRoomId, isServerName, isUserId } from "../../ids/grammar.js";
import { checkLax } from "../../json/check.js";
import { get } from "../../json/value.js";
import type { JsonObject } from "../../json/value.js";
import type { Awaitable } from "../../ports/cancel.js";
import type { AliasTarget, Directory, RoomNetwork } from "../../ports/directory.js";
import { deepFreeze, expectEqual, expectTrue, portCheck, show, testCancel, unkept } from "./check.js";
import type { PortCheck } from "./check.js";

/** How the checks get at directories. What a directory has no part for is left out. */
export interface DirectoryHost {
  readonly create: () => Awaitable<Directory>;
  /** The name of the server whose directory it is. */
  readonly server: string;
  /** Aliases that it knows, and what they stand for. */
  readonly aliases?: readonly (AliasTarget & { readonly alias: string })[];
  /** Users that it knows, and what it tells of them. */
  readonly profiles?: readonly { readonly userId: string; readonly profile: JsonObject | "withheld" }[];
  /** The rooms that it lists for a network, all of them in their order. */
  readonly published?: readonly (RoomNetwork & { readonly roomIds: readonly string[] })[];
  /** Tokens that it knows, and who generated them. */
  readonly openIdTokens?: readonly { readonly accessToken: string; readonly userId: string }[];
  /** What it must not know, such as a deleted alias, a user who is gone, or a token that has expired. */
  readonly unknown?: {
    readonly aliases?: readonly string[];
    readonly users?: readonly string[];
    readonly openIdTokens?: readonly string[];
  };
}

/** What is no name of anything, and is asked for because others may ask for it. */
const oddities: readonly string[] = [
  "",
  "nobody",
  "__proto__",
  "constructor",
  "toString",
  "%",
  "_",
  "*",
  "' OR 1=1 --",
  " ",
  "häß 😀",
];
/** Tokens and networks are any text, of any length. Names are identifiers, which cannot hold these. */
const oddTexts: readonly string[] = [...oddities, "a\0b", "a".repeat(100_000)];

/** The names that this server could have given to what is odd. */
function oddNames(sigil: string, server: string): readonly string[] {
  const long = "a".repeat(Math.max(1, 255 - 2 - server.length));
  return [...oddities, long].map((localpart) => `${sigil}${localpart}:${server}`);
}

/** Each token but for a character, or for what is read past. */
function nearly(token: string): readonly string[] {
  const variants = [token.toUpperCase(), token.toLowerCase(), token.slice(0, -1), token.slice(1)];
  return [...variants, `${token} `, ` ${token}`, `${token}\0`, `${token.slice(0, -1)}%`, `${token.slice(0, -1)}_`];
}

/** The checks of a directory. */
export function directorySuite(host: DirectoryHost): readonly PortCheck[] {
  const { server, aliases = [], profiles = [], published = [], openIdTokens = [], unknown = {} } = host;
  const check = (name: string, body: (directory: Directory) => Promise<void>): PortCheck =>
    portCheck(name, async () => body(await host.create()));

  return [
    check("an alias leads to its room, and to servers to join it by", async (directory) => {
      for (const { alias, ...target } of aliases) {
        const found = await directory.alias?.(alias, testCancel());
        if (found === undefined) unkept(`there is no alias ${alias}`);
        expectTrue(isRoomId(found.roomId), `${alias}: ${show(found.roomId)} is no room id`);
        for (const name of found.servers ?? []) expectTrue(isServerName(name), `${alias}: ${show(name)} is no server`);
        expectEqual(found, target, `what ${alias} stands for`);
      }
    }),
    check("of a user is told what may be known, as plain data", async (directory) => {
      for (const { userId, profile } of profiles) {
        const found = await directory.profile?.(userId, testCancel());
        if (found !== undefined && found !== "withheld") expectProfile(found, userId);
        expectEqual(found, profile, `the profile of ${userId}`);
      }
    }),
    check("the rooms of a network are listed, each once, and in the same order every time", async (directory) => {
      for (const { roomIds, ...network } of published) {
        const listed = await directory.publishedRooms?.(deepFreeze({ ...network }), testCancel());
        expectEqual(listed, roomIds, `the rooms of ${show(network)}`);
      }
      if (directory.publishedRooms === undefined) return;
      for (const network of [{}, { allNetworks: true }]) {
        const listed = await directory.publishedRooms(deepFreeze(network));
        for (const roomId of listed) expectTrue(isRoomId(roomId), `${show(roomId)} is listed, and is no room id`);
        expectEqual(new Set(listed).size, listed.length, `different rooms among those of ${show(network)}`);
        expectEqual(await directory.publishedRooms(network), listed, `the rooms of ${show(network)}, asked for again`);
      }
    }),
    check("what no network is called has no rooms, and all networks together have those of each", async (directory) => {
      if (directory.publishedRooms === undefined) return;
      for (const instanceId of oddTexts) {
        const what = `rooms of a network that is called ${show(instanceId.slice(0, 40))}`;
        expectEqual(await directory.publishedRooms({ instanceId }), [], what);
      }
      const all = new Set(await directory.publishedRooms({ allNetworks: true }));
      for (const { roomIds: _, ...network } of [{ roomIds: [] }, ...published]) {
        const missing = (await directory.publishedRooms(network)).filter((roomId) => !all.has(roomId));
        expectEqual(missing, [], `rooms of ${show(network)} that are not among all`);
      }
    }),
    check("a token stands for the user of this server who generated it", async (directory) => {
      for (const { accessToken, userId } of openIdTokens) {
        const found = await directory.openIdUser?.(accessToken, testCancel());
        expectEqual(found, userId, `the user of a token`);
        // Any other is not believed by who asks: "The caller MUST validate".
        expectTrue(isUserId(found) && domainOf(found) === server, `${userId} is no user of ${server}`);
      }
    }),
    check("a token is taken as it is written, to the last character", async (directory) => {
      const valid = new Set(openIdTokens.map(({ accessToken }) => accessToken));
      for (const token of [...valid].flatMap(nearly).filter((one) => !valid.has(one))) {
        expectEqual(await directory.openIdUser?.(token), undefined, `the user of a token that is nearly a valid one`);
      }
    }),
    check("what is not known is `undefined`, whatever is asked", async (directory) => {
      for (const alias of [...oddNames("#", server), ...(unknown.aliases ?? [])]) {
        if (aliases.some((one) => one.alias === alias)) continue;
        expectEqual(await directory.alias?.(alias), undefined, `what ${alias.slice(0, 40)} stands for`);
      }
      for (const userId of [...oddNames("@", server), ...(unknown.users ?? [])]) {
        if (profiles.some((one) => one.userId === userId)) continue;
        const found = await directory.profile?.(userId);
        // Who says nothing of anybody does not say either who there is.
        if (found !== "withheld") expectEqual(found, undefined, `the profile of ${userId.slice(0, 40)}`);
      }
      for (const token of [...oddTexts, ...(unknown.openIdTokens ?? [])]) {
        if (openIdTokens.some(({ accessToken }) => accessToken === token)) continue;
        expectEqual(await directory.openIdUser?.(token), undefined, `the user of ${show(token.slice(0, 40))}`);
      }
    }),
    check("many questions at once are answered each for itself", async (directory) => {
      const nobody = oddNames("@", server).filter((id) => !profiles.some(({ userId }) => userId === id));
      const asked = [
        ...aliases.map(
          ({ alias }) =>
            async () =>
              (await directory.alias?.(alias))?.roomId,
        ),
        ...profiles.map(
          ({ userId }) =>
            async () =>
              await directory.profile?.(userId),
        ),
        ...nobody.map((userId) => async () => await directory.profile?.(userId)),
        ...openIdTokens.map(
          ({ accessToken }) =>
            async () =>
              await directory.openIdUser?.(accessToken),
        ),
        ...published.map(
          ({ roomIds: _, ...network }) =>
            async () =>
              await directory.publishedRooms?.(network),
        ),
      ];
      const alone: unknown[] = [];
      for (const ask of asked) alone.push(await ask());
      const together = await Promise.all([...asked, ...asked].map((ask) => ask()));
      expectEqual(together, [...alone, ...alone], "what was answered");
    }),
    check("software has a name and a version", (directory) => {
      const { software } = directory;
      if (software === undefined) return Promise.resolve();
      for (const part of [software.name, software.version] as readonly unknown[]) {
        const fits = typeof part === "string" && part.length > 0 && part.length <= 255;
        expectTrue(fits, `${show(part)} is no text of 1 to 255 characters`);
      }
      return Promise.resolve();
    }),
  ];
}

/** What others take over: fields of another form they leave out. */
function expectProfile(profile: JsonObject, userId: string): void {
  const checked = checkLax(profile);
  if (!checked.ok) unkept(`the profile of ${userId}: ${checked.error.reason}`);
  for (const [name, value] of Object.entries(profile)) {
    expectTrue(value !== null, `the profile of ${userId}: ${show(name)} is null, and should be absent`);
  }
  const [displayName, avatarUrl] = [get(profile, "displayname"), get(profile, "avatar_url")];
  if (displayName !== undefined) {
    expectTrue(typeof displayName === "string", `the profile of ${userId}: \`displayname\` is ${show(displayName)}`);
  }
  if (avatarUrl !== undefined) {
    expectTrue(
      isContentUri(avatarUrl),
      `the profile of ${userId}: \`avatar_url\` is ${show(avatarUrl)}, no mxc:// URI`,
    );
  }
}
