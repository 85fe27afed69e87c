/** The rules of `m.room.member` (v1-5 rule 5, v6-11 rule 4, v12 rule 5). */
import { get } from "../json/value.js";
import { isUserId, serverOf } from "../ids/grammar.js";
import { creatorOf } from "./power.js";
import { outranks, reaches } from "./judge.js";
import type { Judge } from "./judge.js";
import { checkThirdPartyInvite } from "./third-party-invite.js";
import type { AuthVerdict } from "./verdict.js";

export function checkMember(judge: Judge): AuthVerdict {
  const { event } = judge;
  const target = event.stateKey;
  const membership = get(event.content, "membership");
  if (target === undefined) return judge.reject("member.shape", "a membership event needs a `state_key`");
  if (!isUserId(target)) return judge.reject("member.shape", "the `state_key` of a membership event must be a user id");
  if (typeof membership !== "string") return judge.reject("member.shape", "`membership` must be a string");
  const unsigned = checkAuthorisingSignature(judge);
  if (unsigned !== undefined) return unsigned;
  switch (membership) {
    case "join":
      return checkJoin(judge, target);
    case "invite":
      return checkInvite(judge, target);
    case "leave":
      return checkLeave(judge, target);
    case "ban":
      return checkBan(judge, target);
    case "knock":
      if (judge.rules.auth.knock) return checkKnock(judge, target);
  }
  return judge.reject(
    "member.unknown",
    `membership ${JSON.stringify(membership.slice(0, 64))} is unknown in this room version`,
  );
}

/** v8-11 rule 4.2, v12 rule 5.2: on any membership event that carries the key, not on joins alone (AU15). */
function checkAuthorisingSignature(judge: Judge): AuthVerdict | undefined {
  const authoriser = get(judge.event.content, "join_authorised_via_users_server");
  if (!judge.rules.auth.restricted || authoriser === undefined) return undefined;
  const server = isUserId(authoriser) ? serverOf(authoriser) : undefined;
  if (server === undefined) {
    return judge.reject("member.authorising-signature", "`join_authorised_via_users_server` is no user id");
  }
  const signed = judge.facts.signedBy(server);
  if (signed === undefined) return { verdict: "needs", events: [], facts: [{ fact: "signed-by", server }] };
  return signed ? undefined : judge.reject("member.authorising-signature", `not validly signed by ${server}`);
}

function checkJoin(judge: Judge, target: string): AuthVerdict {
  const { event, create, rules } = judge;
  const isFirst = target === creatorOf(rules, create) && event.prevEvents.length === 1;
  if (isFirst && event.prevEvents[0] === create.eventId) {
    return judge.allow("member.join.first");
  }
  if (event.sender !== target) return judge.reject("member.join.sender", "nobody can join for somebody else");
  const membership = judge.membership(target);
  if (membership === "ban") return judge.reject("member.join.banned", `${target} is banned`, [judge.member(target)]);
  const joinRule = judge.joinRule();
  const expected = membership === "invite" || membership === "join";
  if (joinRule === "invite" || (joinRule === "knock" && rules.auth.knock)) {
    if (expected) return judge.allow("member.join.invite");
  } else if (isRestricted(judge, joinRule)) {
    return expected ? judge.allow("member.join.restricted.member") : checkAuthoriser(judge);
  } else if (joinRule === "public") {
    return judge.allow("member.join.public");
  }
  return judge.reject(
    "member.join.otherwise",
    `the join rule ${JSON.stringify(joinRule ?? null)} does not let ${target} in`,
    [judge.state("m.room.join_rules", "")],
  );
}

function isRestricted(judge: Judge, joinRule: string | undefined): boolean {
  const { restricted, knockRestricted } = judge.rules.auth;
  return (restricted && joinRule === "restricted") || (knockRestricted && joinRule === "knock_restricted");
}

/** v8-11 rule 4.3.5.2, v12 rule 5.3.5.2: the authoriser must be joined and able to invite. */
function checkAuthoriser(judge: Judge): AuthVerdict {
  const rule = "member.join.restricted.authoriser";
  const authoriser = get(judge.event.content, "join_authorised_via_users_server");
  if (typeof authoriser !== "string") return judge.reject(rule, "nobody in the room authorised this join");
  const member = judge.member(authoriser);
  if (judge.membership(authoriser) !== "join") return judge.reject(rule, `${authoriser} is not joined`, [member]);
  if (reaches(judge.level(authoriser), judge.scalar("invite"))) return judge.allow("member.join.restricted.allow");
  return judge.reject(rule, `${authoriser} may not invite`, [member, judge.powerLevels]);
}

function checkInvite(judge: Judge, target: string): AuthVerdict {
  const { event } = judge;
  if (get(event.content, "third_party_invite") !== undefined) return checkThirdPartyInvite(judge, target);
  if (judge.membership(event.sender) !== "join") {
    return judge.reject("member.invite.sender", `${event.sender} is not joined`, [judge.member(event.sender)]);
  }
  const membership = judge.membership(target);
  if (membership === "join" || membership === "ban") {
    return judge.reject("member.invite.target", `the membership of ${target} is ${membership}`, [judge.member(target)]);
  }
  if (reaches(judge.level(event.sender), judge.scalar("invite"))) return judge.allow("member.invite.level");
  return judge.reject("member.invite.otherwise", `${event.sender} may not invite`, [judge.powerLevels]);
}

function checkLeave(judge: Judge, target: string): AuthVerdict {
  const { event } = judge;
  const own = judge.membership(event.sender);
  if (event.sender === target) {
    const mayLeave = own === "invite" || own === "join" || (own === "knock" && judge.rules.auth.knock);
    if (mayLeave) return judge.allow("member.leave.self");
    return judge.reject("member.leave.self", `the membership of ${target} is ${own}`, [judge.member(target)]);
  }
  if (own !== "join")
    return judge.reject("member.leave.sender", `${event.sender} is not joined`, [judge.member(event.sender)]);
  const level = judge.level(event.sender);
  if (judge.membership(target) === "ban" && !reaches(level, judge.scalar("ban"))) {
    return judge.reject("member.leave.unban", `${event.sender} may not unban`, [
      judge.member(target),
      judge.powerLevels,
    ]);
  }
  if (reaches(level, judge.scalar("kick")) && outranks(level, judge.level(target)))
    return judge.allow("member.leave.kick");
  return judge.reject("member.leave.otherwise", `${event.sender} may not remove ${target}`, [judge.powerLevels]);
}

function checkBan(judge: Judge, target: string): AuthVerdict {
  const { event } = judge;
  if (judge.membership(event.sender) !== "join") {
    return judge.reject("member.ban.sender", `${event.sender} is not joined`, [judge.member(event.sender)]);
  }
  const level = judge.level(event.sender);
  if (reaches(level, judge.scalar("ban")) && outranks(level, judge.level(target)))
    return judge.allow("member.ban.level");
  return judge.reject("member.ban.otherwise", `${event.sender} may not ban ${target}`, [judge.powerLevels]);
}

function checkKnock(judge: Judge, target: string): AuthVerdict {
  const { event, rules } = judge;
  const joinRule = judge.joinRule();
  if (joinRule !== "knock" && !(joinRule === "knock_restricted" && rules.auth.knockRestricted)) {
    return judge.reject("member.knock.join-rule", "the join rule does not invite knocking", [
      judge.state("m.room.join_rules", ""),
    ]);
  }
  if (event.sender !== target) return judge.reject("member.knock.sender", "nobody can knock for somebody else");
  const membership = judge.membership(event.sender);
  if (membership === "ban" || membership === "invite" || membership === "join") {
    return judge.reject("member.knock.otherwise", `the membership of ${target} is ${membership}`, [
      judge.member(target),
    ]);
  }
  return judge.allow("member.knock.membership");
}
