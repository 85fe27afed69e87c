/** How scenarios write users. */
import { isUserId } from "../ids/grammar.js";

/** `@bob:b.example`, `bob:b.example`, or `bob` for one of the scenario's own server. */
export function fullUser(text: string, server: string): string | undefined {
  const bare = text.startsWith("@") ? text : `@${text}`;
  const whole = bare.includes(":") ? bare : `${bare}:${server}`;
  return isUserId(whole) ? whole : undefined;
}

/** The shortest way to write a user. */
export function shortUser(user: string, server: string): string {
  const local = user.endsWith(`:${server}`) ? user.slice(1, -server.length - 1) : user.slice(1);
  const plain = /^[A-Za-z0-9_.\-/]+(?::[A-Za-z0-9.\-[\]:]+)?$/.test(local);
  return plain && fullUser(local, server) === user ? local : user;
}
