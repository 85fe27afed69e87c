/** The part of WebCrypto that is needed, whatever a platform's types call it. */
import { UsageError } from "../../errors.js";

/** `crypto.subtle`. Keys are whatever the platform gives. */
export interface SubtleLike {
  importKey(
    format: "raw" | "pkcs8",
    data: Uint8Array,
    algorithm: { readonly name: "Ed25519" },
    extractable: boolean,
    usages: ("sign" | "verify")[],
  ): Promise<object>;
  sign(algorithm: { readonly name: "Ed25519" }, key: object, data: Uint8Array): Promise<ArrayBuffer>;
  verify(
    algorithm: { readonly name: "Ed25519" },
    key: object,
    signature: Uint8Array,
    data: Uint8Array,
  ): Promise<boolean>;
}

export const ED25519 = { name: "Ed25519" } as const;

/** @throws UsageError where the platform has no WebCrypto: pages that came by plain HTTP have none. */
export function platformSubtle(): SubtleLike {
  const { crypto } = globalThis as { readonly crypto?: { readonly subtle?: SubtleLike } };
  if (crypto?.subtle !== undefined) return crypto.subtle;
  throw new UsageError(
    "this platform has no `crypto.subtle`: leave `verify` to the library, and sign by `keyFromSeed`",
  );
}
