/** The promises of keys. */
import { verify } from "../../crypto/ed25519.js";
import { edgeVectors } from "../../crypto/ed25519-provider.js";
import type { Awaitable } from "../../ports/cancel.js";
import type { Keys, VerifyRequest } from "../../ports/keys.js";
import { expectEqual, expectTrue, portCheck, unkept } from "./check.js";
import type { PortCheck } from "./check.js";

/** How the checks get at keys. */
export interface KeysHost {
  /** Keys of a server, and its name. They may be the same each time. */
  readonly create: () => Awaitable<TestedKeys>;
}

export interface TestedKeys {
  readonly keys: Keys;
  readonly server: string;
  /** The public key, of 32 bytes, by which `signPolicy` signs: what rooms list for this server. */
  readonly policyKey?: Uint8Array;
}

/** A time within the validity of every key that is in use: keys are valid from ever until an end. */
const THEN = 1_700_000_000_000;

const message = (text: string): Uint8Array => Uint8Array.from(text, (character) => character.charCodeAt(0));

/** The checks of keys. */
export function keysSuite(host: KeysHost): readonly PortCheck[] {
  const check = (
    name: string,
    body: (keys: Keys, server: string, policyKey: Uint8Array | undefined) => Promise<void>,
  ): PortCheck =>
    portCheck(name, async () => {
      const { keys, server, policyKey } = await host.create();
      await body(keys, server, policyKey);
    });

  return [
    check("what is signed verifies by the key that is published under the signature's key id", async (keys, server) => {
      const messages = [message("a message"), new Uint8Array(0), Uint8Array.from({ length: 70_000 }, (_, at) => at)];
      for (const text of messages) {
        const { keyId, signature } = await keys.sign(text);
        expectTrue(/^ed25519:[A-Za-z0-9_]+$/.test(keyId), `the key id \`${keyId}\` is not \`ed25519:\` and a version`);
        expectEqual(signature.length, 64, "bytes of a signature");
        const [key] = await keys.lookup([{ server, keyId, validAt: THEN }]);
        if (key === undefined) unkept(`this server's own key ${keyId} is not among what it looks up`);
        expectEqual(key.key.length, 32, "bytes of a key");
        expectTrue(verify(signature, text, key.key), `a signature over ${text.length} bytes does not verify`);
        expectEqual(await keys.verify([{ key: key.key, message: text, signature }]), [true], "verify of its own");
      }
    }),
    check("signatures are of the message that was given, also of many at once", async (keys, server) => {
      const texts = Array.from({ length: 12 }, (_, at) => message(`message ${at}`));
      const signed = await Promise.all(texts.map(async (text) => await keys.sign(text)));
      for (const [at, { keyId, signature }] of signed.entries()) {
        const [key] = await keys.lookup([{ server, keyId, validAt: THEN }]);
        const valid = key !== undefined && verify(signature, texts[at] ?? message(""), key.key);
        expectTrue(valid, `signature ${at} of several at once is not over message ${at}`);
      }
    }),
    check(
      "what is signed as a policy server verifies by the key that rooms list, be it one message or many at once",
      async (keys, _, policyKey) => {
        if (keys.signPolicy === undefined) {
          expectTrue(
            policyKey === undefined,
            "rooms list a policy key, and nothing signs by it: `signPolicy` is absent",
          );
          return;
        }
        const sign = async (text: Uint8Array) => {
          const signature = await keys.signPolicy?.(text);
          return { text, signature: signature ?? unkept("`signPolicy` signed nothing, or is absent later") };
        };
        const texts = [new Uint8Array(0), new Uint8Array(70_000), ...Array.from("abcdefgh", message)];
        const signed = [await sign(message("alone")), ...(await Promise.all(texts.map(sign)))];
        for (const { text, signature } of signed) {
          expectEqual(signature.length, 64, "bytes of a signature as a policy server");
          const valid = policyKey === undefined || verify(signature, text, policyKey);
          expectTrue(valid, `over ${text.length} bytes: the key that rooms list does not verify the policy signature`);
        }
        const different = new Set(signed.map(({ signature }) => String(signature))).size;
        expectEqual(different, signed.length, "policy signatures of as many messages");
      },
    ),
    check("a policy server's key is none that is published: events are signed by another", async (keys, server) => {
      const text = message("an event");
      const signature = await keys.signPolicy?.(text);
      if (signature === undefined) return;
      const { keyId } = await keys.sign(text);
      const ids = [keyId, "ed25519:policy_server"];
      for (const key of await keys.lookup(ids.map((id) => ({ server, keyId: id, validAt: THEN })))) {
        const own = key !== undefined && verify(signature, text, key.key);
        expectTrue(!own, "a signature as a policy server verifies by a key that is published: it would sign events");
      }
    }),
    check(
      "keys are looked up in the order of the requests, with `undefined` for those that cannot be had",
      async (keys, server) => {
        const { keyId } = await keys.sign(message("x"));
        const own = { server, keyId, validAt: THEN };
        const requests = [
          { server: "nobody.invalid", keyId, validAt: THEN },
          own,
          { server, keyId: "ed25519:never_published", validAt: THEN },
          own,
          { server: "__proto__", keyId: "constructor", validAt: THEN },
        ];
        const found = await keys.lookup(requests);
        expectEqual(found.length, requests.length, "answers to five requests");
        expectEqual(
          found.map((key) => key !== undefined),
          [false, true, false, true, false],
          "which keys were found",
        );
        expectEqual(found[3]?.key, found[1]?.key, "the same key, asked for twice");
        expectEqual(await keys.lookup([]), [], "lookup of nothing");
      },
    ),
    check("a signature verifies or not as libsodium has it, at every edge", async (keys) => {
      for (const { name, valid, publicKey, ...rest } of edgeVectors()) {
        expectEqual(await keys.verify([{ ...rest, key: publicKey }]), [valid], name);
      }
    }),
    check("verdicts stand in the order of the requests", async (keys) => {
      const vectors = edgeVectors();
      const requests = vectors.map(({ publicKey, message: text, signature }) => ({
        key: publicKey,
        message: text,
        signature,
      }));
      const verdicts = vectors.map(({ valid }) => valid);
      expectEqual(await keys.verify(requests), verdicts, "the edge vectors in one batch");
      expectEqual(await keys.verify([...requests].reverse()), [...verdicts].reverse(), "the same from behind");
      const many: VerifyRequest[] = [];
      const wanted: boolean[] = [];
      for (let at = 0; at < 200; at++) {
        const pick = (at * at + at) % vectors.length;
        const request = requests[pick];
        if (request === undefined) continue;
        many.push(request);
        wanted.push(verdicts[pick] === true);
      }
      expectEqual(await keys.verify(many), wanted, "a batch of 200 with repetitions");
      const both = await Promise.all([requests, [...requests].reverse()].map(async (each) => await keys.verify(each)));
      expectEqual(both, [verdicts, [...verdicts].reverse()], "two batches at once");
      expectEqual(await keys.verify([]), [], "verify of nothing");
    }),
    check("bytes of a wrong length are no valid signature, and no reason to throw", async (keys) => {
      const good = edgeVectors().find(({ valid }) => valid) ?? unkept("there is no valid edge vector");
      const { publicKey: key, signature } = good;
      const text = good.message;
      const requests: VerifyRequest[] = [
        { key: new Uint8Array(0), message: text, signature },
        { key: key.slice(1), message: text, signature },
        { key: Uint8Array.of(...key, 0), message: text, signature },
        { key, message: text, signature: new Uint8Array(0) },
        { key, message: text, signature: signature.slice(0, 63) },
        { key, message: text, signature: Uint8Array.of(...signature, 0) },
        { key, message: new Uint8Array(0), signature },
        { key, message: text, signature },
      ];
      expectEqual(await keys.verify(requests), [false, false, false, false, false, false, false, true], "verdicts");
    }),
    check("bytes that are given may be parts of larger memory", async (keys) => {
      const vectors = edgeVectors();
      const requests = vectors.map(({ publicKey, message: text, signature }) => together(publicKey, text, signature));
      const verdicts = vectors.map(({ valid }) => valid);
      for (const [at, request] of requests.entries()) {
        expectEqual(await keys.verify([request]), [verdicts[at]], `${vectors[at]?.name ?? ""}, among other bytes`);
      }
      expectEqual(await keys.verify(requests), verdicts, "the edge vectors among other bytes, in one batch");
    }),
    check("bytes that are given stay as they are", async (keys) => {
      const [vector] = edgeVectors();
      if (vector === undefined) unkept("there are no edge vectors");
      const { publicKey: key, message: text, signature } = vector;
      const before = [key.slice(), text.slice(), signature.slice()];
      await keys.verify([{ key, message: text, signature }]);
      await keys.sign(text);
      await keys.signPolicy?.(text);
      expectEqual([key, text, signature], before, "key, message and signature afterwards");
    }),
  ];
}

/** A check whose bytes lie in one buffer, with others before, between and after them. */
function together(key: Uint8Array, text: Uint8Array, signature: Uint8Array): VerifyRequest {
  const gap = 7;
  const memory = new Uint8Array(key.length + text.length + signature.length + 4 * gap).fill(0xa5);
  let end = 0;
  const put = (bytes: Uint8Array): Uint8Array => {
    const begin = end + gap;
    end = begin + bytes.length;
    memory.set(bytes, begin);
    return memory.subarray(begin, end);
  };
  return { key: put(key), message: put(text), signature: put(signature) };
}
