/** A transport over HTTP keeps the promises of a transport. */
import { describe, expect, it } from "vitest";
import type { TransportNetwork } from "../../src/testing/index.js";
import { transportSuite } from "../../src/testing/index.js";
import type { HttpTransport } from "../../src/adapters/http/index.js";
import { HttpWorld } from "./http-support.js";

function network(): TransportNetwork {
  const world = new HttpWorld();
  const end = (server: string): { readonly server: string; readonly transport: HttpTransport } => ({
    server,
    transport: world.transport(server),
  });
  return { ends: [end("one.example"), end("two.example:8448"), end("three.example")], unknown: "nobody.example" };
}

describe("a transport over HTTP", () => {
  it.each(transportSuite({ create: network }))("$name", async ({ run }) => {
    await run();
  });

  it("hears of servers that ask, and tries them again at once", async () => {
    const world = new HttpWorld();
    const one = world.transport("one.example");
    const ask = async (): Promise<string> => {
      const result = await one.request("two.example", "version", {});
      return result.ok ? "ok" : result.error.reason;
    };
    expect(await ask()).toContain("there is nobody");
    const two = world.transport("two.example");
    two.listen(() => Promise.resolve({ ok: true, value: { name: "two" } } as never));
    one.listen(() => Promise.resolve({ ok: true, value: { event: {} } } as never));
    expect(await ask()).toMatch(/no other try for/);
    // What nobody has to prove proves nothing.
    expect((await two.request("one.example", "version", {})).ok).toBe(true);
    expect(await ask()).toMatch(/no other try for/);
    expect((await two.request("one.example", "event", { eventId: "$a" })).ok).toBe(true);
    expect(await ask()).toBe("ok");
  });
});
