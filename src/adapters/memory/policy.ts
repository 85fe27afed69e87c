/** A policy of two lists. */
import { serverOf } from "../../ids/grammar.js";
import type {
  EventAttempt,
  InviteAttempt,
  JoinAttempt,
  Policy,
  PolicyRefusal,
  RecommendationAttempt,
} from "../../ports/policy.js";

/** Whom a server has no dealings with. */
export interface BlockLists {
  /** User ids. */
  readonly blockedUsers?: Iterable<string>;
  /** Server names, as they stand in user ids. */
  readonly blockedServers?: Iterable<string>;
}

/** Refuses what users on a list, or users of servers on a list, want to do, with the code `blocked`. */
export function createListPolicy({ blockedUsers = [], blockedServers = [] }: BlockLists): Policy {
  const users = new Set(blockedUsers);
  const servers = new Set(blockedServers);

  function checkServer(server: string): PolicyRefusal | undefined {
    return servers.has(server) ? { code: "blocked", reason: `${server} is blocked here` } : undefined;
  }

  function checkUser(userId: string): PolicyRefusal | undefined {
    if (users.has(userId)) return { code: "blocked", reason: `${userId} is blocked here` };
    const server = serverOf(userId);
    return server === undefined ? undefined : checkServer(server);
  }

  return Object.freeze({
    checkInvite: ({ sender }: InviteAttempt) => checkUser(sender),
    checkJoin: ({ userId }: JoinAttempt) => checkUser(userId),
    checkEvent: ({ event }: EventAttempt) => checkUser(event.sender),
    checkRecommendation: ({ event }: RecommendationAttempt) => checkUser(event.sender),
    checkServer,
  });
}
