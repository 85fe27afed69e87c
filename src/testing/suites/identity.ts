/** The promises of an identity resolver. */
import { isUserId } from "../../ids/grammar.js";
import type { Awaitable } from "../../ports/cancel.js";
import type { Identity, ThirdPartyIdentifier } from "../../ports/identity.js";
import { deepFreeze, expectEqual, expectTrue, portCheck, testCancel } from "./check.js";
import type { PortCheck } from "./check.js";

/** How the checks get at identity resolvers. */
export interface IdentityHost {
  readonly create: () => Awaitable<Identity>;
  /** Identifiers whose user it knows. */
  readonly known?: readonly (ThirdPartyIdentifier & { readonly userId: string })[];
  /** Identifiers that it must not know. */
  readonly unknown?: readonly ThirdPartyIdentifier[];
}

/** What nobody is called. */
const nobody: readonly ThirdPartyIdentifier[] = [
  { medium: "email", address: "nobody@unknown.invalid" },
  { medium: "email", address: "" },
  { medium: "", address: "" },
  { medium: "msisdn", address: "not a number" },
  { medium: "__proto__", address: "constructor" },
  { medium: "constructor", address: "name" },
  { medium: "email", address: "__proto__" },
  { medium: "email", address: `${"a".repeat(10_000)}@unknown.invalid` },
  { medium: "no such medium", address: "' OR 1=1 --" },
];

/** The checks of an identity resolver. */
export function identitySuite(host: IdentityHost): readonly PortCheck[] {
  const { known = [], unknown = [] } = host;
  const check = (name: string, body: (identity: Identity) => Promise<void>): PortCheck =>
    portCheck(name, async () => body(await host.create()));

  return [
    check("who is known is found, as a user id", async (identity) => {
      for (const { userId, ...identifier } of known) {
        const found = await identity.resolve(deepFreeze({ ...identifier }), testCancel());
        expectEqual(found, userId, `${identifier.medium} ${identifier.address}`);
        expectTrue(isUserId(found), `${userId} is no user id`);
      }
    }),
    check("who is not known is `undefined`, whatever is asked", async (identity) => {
      for (const identifier of [...nobody, ...unknown]) {
        const found = await identity.resolve(identifier);
        expectEqual(found, undefined, `${identifier.medium} ${identifier.address.slice(0, 40)}`);
      }
    }),
    check("a medium and an address belong together", async (identity) => {
      for (const { medium, address } of known) {
        const found = await identity.resolve({ medium: `${medium}${address}`, address: "" });
        expectEqual(found, undefined, "the same letters, parted elsewhere");
        expectEqual(await identity.resolve({ medium: "no such medium", address }), undefined, "another medium");
      }
    }),
    check("many questions at once are answered each for itself", async (identity) => {
      const asked = [...known, ...nobody, ...known];
      const found = await Promise.all(
        asked.map(async ({ medium, address }) => await identity.resolve({ medium, address })),
      );
      expectEqual(found, [...known.map(idOf), ...nobody.map(() => undefined), ...known.map(idOf)], "who was found");
    }),
  ];
}

function idOf({ userId }: { readonly userId: string }): string {
  return userId;
}
