/** The promises of randomness, as far as they can be seen from outside. */
import type { Awaitable } from "../../ports/cancel.js";
import type { Random } from "../../ports/random.js";
import { expectEqual, expectTrue, portCheck } from "./check.js";
import type { PortCheck } from "./check.js";

/** How the checks get at randomness. */
export interface RandomHost {
  readonly create: () => Awaitable<Random>;
}

const hex = (bytes: Uint8Array): string => Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");

/**
 * The checks of randomness. They find what is constant, short, repeated or lopsided; that bytes cannot be
 * foretold, no test can show.
 */
export function randomSuite(host: RandomHost): readonly PortCheck[] {
  const check = (name: string, body: (random: Random) => void): PortCheck =>
    portCheck(name, async () => body(await host.create()));

  return [
    check("there are as many bytes as were asked for", (random) => {
      // Some platforms give no more than 65,536 bytes in one call.
      for (const length of [0, 1, 18, 31, 32, 33, 64, 1000, 65_536, 65_537, 200_000]) {
        const bytes = random.bytes(length);
        expectTrue(bytes instanceof Uint8Array, "bytes() is no Uint8Array");
        expectEqual(bytes.length, length, "bytes");
      }
    }),
    check("each call gives an array of its own", (random) => {
      const first = random.bytes(32);
      const before = first.slice();
      const second = random.bytes(32);
      expectEqual(first, before, "the first array after a second call");
      expectTrue(first !== second, "two calls gave the same array");
      expectTrue(first.buffer !== second.buffer, "two calls gave views of one buffer");
      second.fill(0);
      expectTrue(
        random.bytes(32).some((byte) => byte !== 0),
        "bytes that a caller cleared came back",
      );
    }),
    check("nothing comes twice", (random) => {
      const seen = new Set(Array.from({ length: 2000 }, () => hex(random.bytes(16))));
      expectEqual(seen.size, 2000, "different draws among 2,000 of 16 bytes");
    }),
    check("long draws do not repeat themselves", (random) => {
      const bytes = random.bytes(64 * 1024);
      const blocks = Array.from({ length: 4096 }, (_, at) => hex(bytes.subarray(at * 16, at * 16 + 16)));
      expectEqual(new Set(blocks).size, 4096, "different blocks among 4,096 of one draw");
    }),
    check("every byte comes about equally often, and so does every bit", (random) => {
      const counts = new Array<number>(256).fill(0);
      const total = 256 * 400;
      for (const byte of random.bytes(total)) counts[byte] = (counts[byte] ?? 0) + 1;
      let chi = 0;
      for (const count of counts) chi += (count - 400) ** 2 / 400;
      // 255 degrees of freedom: a fair source exceeds 420 less than once in a billion times.
      expectTrue(chi < 420, `the bytes are lopsided: chi squared is ${Math.round(chi)} where about 255 is fair`);
      for (let bit = 0; bit < 8; bit++) {
        const ones = counts.reduce((sum, count, byte) => sum + (((byte >> bit) & 1) === 1 ? count : 0), 0);
        expectTrue(Math.abs(ones / total - 0.5) < 0.02, `bit ${bit} is set in ${ones} of ${total} bytes`);
      }
    }),
  ];
}
