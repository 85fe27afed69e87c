/** The authorisation rules in words, for people who have not learned their numbers. */
import type { RoomVersionRules, RuleName } from "../rules/model.js";

const words: Readonly<Record<RuleName, string>> = {
  "create.prev-events": "A create event has no parents: it is the first event of its room.",
  "create.room-id":
    "The room id of a create event belongs to the server of its sender, or is left out from version 12.",
  "create.room-version": "The room version that a create event names is one that the server knows.",
  "create.creator": "A create event names its creator.",
  "create.additional-creators": "Additional creators are a list of user ids.",
  "create.allow": "A create event that meets the rules before this one is allowed.",
  "room-id.create": "The room id names an accepted create event.",
  "auth-events.duplicate": "Auth events hold no two events for one key of the state.",
  "auth-events.selection": "Auth events are those that the event needs for its authority, and no others.",
  "auth-events.rejected": "No auth event was itself rejected.",
  "auth-events.create": "The create event is among the auth events.",
  "auth-events.room": "Auth events are of the same room.",
  federate: "A room that is closed to federation takes events of its creator's server alone.",
  "aliases.state-key": "Aliases have a state key.",
  "aliases.domain": "A server sets aliases under its own name alone.",
  "aliases.allow": "Aliases that a server sets under its own name are allowed.",
  "member.shape": "A membership has a user id as its state key, and a membership in its content.",
  "member.authorising-signature": "A restricted join is signed by the server of the user that vouches for it.",
  "member.join.first": "The creator may join as the first event after the create event.",
  "member.join.sender": "Nobody joins for somebody else.",
  "member.join.banned": "Who is banned may not join.",
  "member.join.invite": "Who is invited, or has joined already, may join a room of invited members.",
  "member.join.restricted": "Joins to a restricted room are judged by the rules that follow.",
  "member.join.restricted.member": "Who is invited, or has joined already, may join a restricted room.",
  "member.join.restricted.authoriser": "The user that vouches for a restricted join has joined and may invite.",
  "member.join.restricted.allow": "A restricted join that a member who may invite vouches for is allowed.",
  "member.join.public": "Anybody who is not banned may join a public room.",
  "member.join.otherwise": "The join rules of the room do not let this user join.",
  "member.invite.third-party.banned": "Who is banned may not be invited by way of a third party.",
  "member.invite.third-party.signed": "A third-party invite carries what the third party signed.",
  "member.invite.third-party.properties": "What the third party signed names a user and a token.",
  "member.invite.third-party.mxid": "What the third party signed is about the user that is invited.",
  "member.invite.third-party.event": "The token of a third-party invite was issued in this room.",
  "member.invite.third-party.sender": "A third-party invite is completed by whoever issued it.",
  "member.invite.third-party.signature": "A key of the third-party invite signed it: it is allowed.",
  "member.invite.third-party.otherwise": "No key of the third-party invite signed it.",
  "member.invite.sender": "Only members invite.",
  "member.invite.target": "Who has joined or is banned is not invited.",
  "member.invite.level": "Who has the power to invite may invite.",
  "member.invite.otherwise": "The sender has not the power to invite.",
  "member.leave.self": "Members may leave, and who is invited or knocks may decline or take it back.",
  "member.leave.sender": "Only members remove others.",
  "member.leave.unban": "Only who has the power to ban lifts a ban.",
  "member.leave.kick": "Who has the power to kick may remove users of less power.",
  "member.leave.otherwise": "The sender has not the power to remove this user.",
  "member.ban.sender": "Only members ban.",
  "member.ban.level": "Who has the power to ban may ban users of less power.",
  "member.ban.otherwise": "The sender has not the power to ban this user.",
  "member.knock.join-rule": "One knocks only where the join rules say so.",
  "member.knock.sender": "Nobody knocks for somebody else.",
  "member.knock.membership": "Who is neither banned, nor invited, nor a member may knock.",
  "member.knock.otherwise": "Who is banned, invited or a member cannot knock.",
  "member.unknown": "The membership is none that the rules know.",
  "sender-joined": "Only members send events.",
  "third-party-invite": "Who has the power to invite may issue third-party invites.",
  "required-level": "The sender has the power that the room asks for events of this type.",
  "state-key": "A state key that is a user id is the sender's own.",
  "power-levels.scalars": "Levels are integers.",
  "power-levels.maps": "Levels of events and notifications are integers by name.",
  "power-levels.users": "Levels of users are integers by user id.",
  "power-levels.creators": "Creators have no entry among the levels: their power has no bound.",
  "power-levels.first": "The first power levels of a room are allowed.",
  "power-levels.scalar-current": "Nobody changes a level that is above their own.",
  "power-levels.scalar-new": "Nobody sets a level above their own.",
  "power-levels.entry-current": "Nobody changes the level of a type that is above their own.",
  "power-levels.entry-new": "Nobody sets the level of a type above their own.",
  "power-levels.user-current": "Nobody changes the level of another user who has as much power as they, or more.",
  "power-levels.user-new": "Nobody gives a user more power than their own.",
  "power-levels.allow": "Changes of levels that stay within the sender's own are allowed.",
  "redaction.level": "Who has the power to redact may redact.",
  "redaction.domain": "A server's users may have events of that server redacted.",
  "redaction.otherwise": "The sender has not the power to redact this event.",
  allow: "Everything else by a member with enough power is allowed.",
};

/**
 * What a rule says, by its label as verdicts have it (`v10 rule 4.3.5`); `undefined` for what is no authorisation rule
 * of this version.
 */
export function ruleInWords(rules: RoomVersionRules, label: string): string | undefined {
  const number = / rule (.+)$/.exec(label)?.[1];
  if (number === undefined) return undefined;
  for (const name of Object.keys(words) as RuleName[]) {
    if ((rules.auth.numbering[name] ?? name) === number) return words[name];
  }
  return undefined;
}
