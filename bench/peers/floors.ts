/** What Node itself does, as a contender: the floor below this library, and below anything else that runs here. */
import { createPublicKey, hash, verify } from "node:crypto";
import { sha256 as sha256OfNoble } from "@noble/hashes/sha2.js";
import { over, signedOf, stop } from "./work.js";
import type { TaskTable } from "./work.js";

const sha256 = (text: string): string => hash("sha256", text, "base64url");

const encoder = new TextEncoder();
const sha256InJavaScript = (text: string): string =>
  Buffer.from(sha256OfNoble(encoder.encode(text))).toString("base64url");

/** The fixed head of a SubjectPublicKeyInfo with an Ed25519 key (RFC 8410). */
const SPKI_HEAD = Buffer.from("302a300506032b6570032100", "hex");

export const floorTasks: TaskTable = {
  parse: ({ texts }) => over(texts, (text) => JSON.parse(text) as unknown),
  canonical: ({ values }) => over(values, (value) => JSON.stringify(value)),
  id: ({ values }) => over(values, (value) => sha256(JSON.stringify(value))),
  "id by noble": ({ values }) => over(values, (value) => sha256InJavaScript(JSON.stringify(value))),
  "id from text": ({ texts }) => over(texts, (text) => sha256(JSON.stringify(JSON.parse(text)))),
  Ed25519: (samples) => {
    const spki = Buffer.concat([SPKI_HEAD, samples.key]);
    const key = createPublicKey({ key: spki, format: "der", type: "spki" });
    return over(signedOf(samples), ({ message, signature }) => {
      if (!verify(null, message, key, signature)) stop("the sample does not verify");
    });
  },
};
