/**
 * The numbers that each room version's page gives to its authorisation rules, so that a refusal can
 * name the very line it broke. A later page renumbers when it inserts or removes a rule; each table
 * below therefore states its difference from the page before it.
 */
import type { RuleName, RuleNumbering } from "./model.js";

/** Rules under one heading: the heading's number is put before each. */
type Section = Readonly<Partial<Record<RuleName, string>>>;

function under(heading: string, section: Section): Section {
  const entries = Object.entries(section).map(([name, number]) => [name, `${heading}.${number}`]);
  return Object.fromEntries(entries) as Section;
}

const create: Section = {
  "create.prev-events": "1",
  "create.room-id": "2",
  "create.room-version": "3",
  "create.creator": "4",
  "create.allow": "5",
};

/** Room version 11 drops the `creator` property. */
const createBySender: Section = {
  "create.prev-events": "1",
  "create.room-id": "2",
  "create.room-version": "3",
  "create.allow": "4",
};

/** Room version 12 adds `additional_creators`. */
const createByCreators: Section = { ...createBySender, "create.additional-creators": "4", "create.allow": "5" };

const authEvents: Section = {
  "auth-events.duplicate": "1",
  "auth-events.selection": "2",
  "auth-events.rejected": "3",
  "auth-events.create": "4",
  "auth-events.room": "5",
};

/** Room version 12 has no create event to cite; its page skips 3.4 and keeps the number of the next. */
const authEventsWithoutCreate: Section = {
  "auth-events.duplicate": "1",
  "auth-events.selection": "2",
  "auth-events.rejected": "3",
  "auth-events.room": "5",
};

const aliases: Section = { "aliases.state-key": "1", "aliases.domain": "2", "aliases.allow": "3" };

const join: Section = {
  "member.join.first": "1",
  "member.join.sender": "2",
  "member.join.banned": "3",
  "member.join.invite": "4",
  "member.join.public": "5",
  "member.join.otherwise": "6",
};

/** Room version 8 inserts the `restricted` branch. */
const joinRestricted: Section = {
  ...join,
  "member.join.restricted": "5",
  "member.join.restricted.member": "5.1",
  "member.join.restricted.authoriser": "5.2",
  "member.join.restricted.allow": "5.3",
  "member.join.public": "6",
  "member.join.otherwise": "7",
};

const invite: Section = {
  "member.invite.third-party.banned": "1.1",
  "member.invite.third-party.signed": "1.2",
  "member.invite.third-party.properties": "1.3",
  "member.invite.third-party.mxid": "1.4",
  "member.invite.third-party.event": "1.5",
  "member.invite.third-party.sender": "1.6",
  "member.invite.third-party.signature": "1.7",
  "member.invite.third-party.otherwise": "1.8",
  "member.invite.sender": "2",
  "member.invite.target": "3",
  "member.invite.level": "4",
  "member.invite.otherwise": "5",
};

const leave: Section = {
  "member.leave.self": "1",
  "member.leave.sender": "2",
  "member.leave.unban": "3",
  "member.leave.kick": "4",
  "member.leave.otherwise": "5",
};

const ban: Section = { "member.ban.sender": "1", "member.ban.level": "2", "member.ban.otherwise": "3" };

const knock: Section = {
  "member.knock.join-rule": "1",
  "member.knock.sender": "2",
  "member.knock.membership": "3",
  "member.knock.otherwise": "4",
};

const member: Section = {
  "member.shape": "1",
  ...under("2", join),
  ...under("3", invite),
  ...under("4", leave),
  ...under("5", ban),
  "member.unknown": "6",
};

/** Room version 7 adds knocking. */
const memberKnock: Section = { ...member, ...under("6", knock), "member.unknown": "7" };

/** Room version 8 puts the authorising server's signature before everything but the shape. */
const memberRestricted: Section = {
  "member.shape": "1",
  "member.authorising-signature": "2.1",
  ...under("3", joinRestricted),
  ...under("4", invite),
  ...under("5", leave),
  ...under("6", ban),
  ...under("7", knock),
  "member.unknown": "8",
};

const powerLevels: Section = {
  "power-levels.users": "1",
  "power-levels.first": "2",
  "power-levels.scalar-current": "3.1",
  "power-levels.scalar-new": "3.2",
  "power-levels.entry-current": "4.1",
  "power-levels.entry-new": "5.1",
  "power-levels.user-current": "6.1",
  "power-levels.user-new": "7.1",
  "power-levels.allow": "8",
};

/** Room version 10 puts two checks of shape in front. */
const powerLevelsIntegers: Section = {
  "power-levels.scalars": "1",
  "power-levels.maps": "2",
  "power-levels.users": "3",
  "power-levels.first": "4",
  "power-levels.scalar-current": "5.1",
  "power-levels.scalar-new": "5.2",
  "power-levels.entry-current": "6.1",
  "power-levels.entry-new": "7.1",
  "power-levels.user-current": "8.1",
  "power-levels.user-new": "9.1",
  "power-levels.allow": "10",
};

/** Room version 12 forbids creators in `users`; its page numbers two entries 10. */
const powerLevelsCreators: Section = {
  "power-levels.scalars": "1",
  "power-levels.maps": "2",
  "power-levels.users": "3",
  "power-levels.creators": "4",
  "power-levels.first": "5",
  "power-levels.scalar-current": "6.1",
  "power-levels.scalar-new": "6.2",
  "power-levels.entry-current": "7.1",
  "power-levels.entry-new": "8.1",
  "power-levels.user-current": "9.1",
  "power-levels.user-new": "10.1",
  "power-levels.allow": "10",
};

/** From the member rule on, every page up to 11 has the same sequence of headings. */
function fromMember(first: number, memberRules: Section, levels: Section): Section {
  const at = (offset: number): string => String(first + offset);
  return {
    ...under(at(0), memberRules),
    "sender-joined": at(1),
    "third-party-invite": `${at(2)}.1`,
    "required-level": at(3),
    "state-key": at(4),
    ...under(at(5), levels),
    allow: at(6),
  };
}

const v3: Section = {
  ...under("1", create),
  ...under("2", authEvents),
  federate: "3",
  ...under("4", aliases),
  ...fromMember(5, member, powerLevels),
};

function withoutAliases(memberRules: Section, levels: Section): Section {
  return {
    ...under("1", create),
    ...under("2", authEvents),
    federate: "3",
    ...fromMember(4, memberRules, levels),
  };
}

/** Room versions 1 and 2: redactions are rule 11. */
export const numberingV1: RuleNumbering = Object.freeze({
  ...v3,
  ...under("11", { "redaction.level": "1", "redaction.domain": "2", "redaction.otherwise": "3" }),
  allow: "12",
});
/** Room versions 3 to 5. */
export const numberingV3: RuleNumbering = Object.freeze(v3);
/** Room version 6: no aliases rule. */
export const numberingV6: RuleNumbering = Object.freeze(withoutAliases(member, powerLevels));
/** Room version 7: knocking. */
export const numberingV7: RuleNumbering = Object.freeze(withoutAliases(memberKnock, powerLevels));
/** Room versions 8 and 9: restricted joins. */
export const numberingV8: RuleNumbering = Object.freeze(withoutAliases(memberRestricted, powerLevels));
/** Room version 10 and I.1: integer power levels. */
export const numberingV10: RuleNumbering = Object.freeze(withoutAliases(memberRestricted, powerLevelsIntegers));

const { "create.creator": _dropped, ...v10WithoutCreator } = numberingV10;
/** Room version 11: the creator is the sender. */
export const numberingV11: RuleNumbering = Object.freeze({ ...v10WithoutCreator, ...under("1", createBySender) });
/** Room version 12: the room id names the create event. */
export const numberingV12: RuleNumbering = Object.freeze({
  ...under("1", createByCreators),
  "room-id.create": "2",
  ...under("3", authEventsWithoutCreate),
  federate: "4",
  ...fromMember(5, memberRestricted, powerLevelsCreators),
});
