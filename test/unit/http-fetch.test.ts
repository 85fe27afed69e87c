import { describe, expect, it } from "vitest";
import { createFetchConnector } from "../../src/adapters/http/fetch.js";
import type { FetchConnectorOptions } from "../../src/adapters/http/fetch.js";
import { createManualClock } from "../../src/adapters/memory/index.js";

const START = 1_700_000_000_000;

/** A network of sites by their URLs. */
function network(sites: Readonly<Record<string, () => Response | Promise<Response>>>) {
  const asked: { readonly url: string; readonly init: RequestInit }[] = [];
  const send = (url: string | URL | Request, init: RequestInit = {}): Promise<Response> => {
    const text = url instanceof Request ? url.url : url.toString();
    asked.push({ url: text, init });
    const site = sites[text];
    if (site === undefined) return Promise.reject(new TypeError("fetch failed", { cause: new Error("nobody there") }));
    return Promise.resolve(site());
  };
  return { asked, urls: () => asked.map(({ url }) => url), send };
}

function setUp(sites: Parameters<typeof network>[0], options: Partial<FetchConnectorOptions> = {}) {
  const net = network(sites);
  const clock = createManualClock(START);
  const connector = createFetchConnector({ clock, fetch: net.send, ...options });
  const ask = async (server: string, signal = new AbortController().signal): Promise<string> => {
    const body = new TextEncoder().encode("{}");
    const headers = [["Authorization", "X-Matrix …".replace("…", "a")]] as const;
    const result = await connector.request(server, { method: "PUT", uri: "/_matrix/x?y=%27", headers, body }, signal);
    if (!result.ok) return `failed: ${result.reason}`;
    const pieces: Uint8Array[] = [];
    for await (const piece of result.answer.body) pieces.push(piece);
    return `${result.answer.status} ${Buffer.concat(pieces).toString()}`;
  };
  return { ...net, clock, connector, ask };
}

const ok =
  (text: string, init: ResponseInit = {}) =>
  () =>
    new Response(text, init);
const WELL_KNOWN = "/.well-known/matrix/server";

describe("a connector over fetch", () => {
  it("sends what was signed, to the port that the name says, and follows no redirect", async () => {
    const { ask, asked } = setUp({
      "https://one.example:9000/_matrix/x?y=%27": ok("moved", {
        status: 302,
        headers: { Location: "https://x.example/" },
      }),
    });
    expect(await ask("one.example:9000")).toBe("302 moved");
    expect(asked).toHaveLength(1);
    const { method, redirect, headers, body } = asked[0]!.init;
    expect([method, redirect, new Headers(headers).get("authorization")]).toEqual(["PUT", "manual", "X-Matrix a"]);
    expect(new TextDecoder().decode(body as Uint8Array)).toBe("{}");
  });

  it("follows a delegation, and falls back to port 8448 without one; no SRV records are looked up", async () => {
    const delegating = setUp({
      [`https://one.example${WELL_KNOWN}`]: ok('{"m.server":"two.example:8555"}'),
      "https://two.example:8555/_matrix/x?y=%27": ok("two"),
      "https://three.example:8448/_matrix/x?y=%27": ok("three"),
    });
    expect(await delegating.ask("one.example")).toBe("200 two");
    expect(await delegating.ask("three.example")).toBe("200 three");
    expect(await delegating.ask("one.example")).toBe("200 two");
    expect(delegating.urls().filter((url) => url.includes("well-known"))).toHaveLength(2);
  });

  it("follows redirects of the document over HTTPS alone", async () => {
    const redirect = (to: string) => ok("", { status: 308, headers: { Location: to } });
    const { ask, urls } = setUp({
      [`https://one.example${WELL_KNOWN}`]: redirect("/other"),
      "https://one.example/other": ok('{"m.server":"two.example:1"}'),
      "https://two.example:1/_matrix/x?y=%27": ok("two"),
      [`https://three.example${WELL_KNOWN}`]: redirect("http://three.example/other"),
      [`https://four.example${WELL_KNOWN}`]: redirect("https://127.0.0.1/other"),
      [`https://five.example${WELL_KNOWN}`]: redirect("https://user:pass@two.example/other"),
    });
    expect(await ask("one.example")).toBe("200 two");
    for (const name of ["three.example", "four.example", "five.example"]) {
      expect(await ask(name)).toBe("failed: nobody there");
    }
    expect(urls().filter((url) => url.includes("/other"))).toEqual(["https://one.example/other"]);
  });

  it("refuses addresses that are not public, however they are written, and names of private networks", async () => {
    const { ask, urls } = setUp({});
    for (const name of ["127.0.0.1", "10.0.0.1:443", "[::1]", "[::ffff:7f00:1]:8448", "127.1:80", "2130706433:80"]) {
      expect(await ask(name), name).toMatch(/failed: .* is no public address/);
    }
    for (const name of [
      "localhost:8448",
      "a.localhost:1",
      "metadata.google.internal:80",
      "printer.local:1",
      "intranet:1",
    ]) {
      expect(await ask(name), name).toMatch(/failed: .* is a name of a private network/);
    }
    expect(urls()).toEqual([]);
    const allowed = setUp(
      { "https://10.0.0.1:8448/_matrix/x?y=%27": ok("ten"), "https://[::1]/_matrix/x?y=%27": ok("one") },
      { allowPrivateAddresses: ["10.0.0.0/8", "::1/128"] },
    );
    expect(await allowed.ask("10.0.0.1")).toBe("200 ten");
    expect(await allowed.ask("[::1]:443")).toBe("200 one");
    expect(await allowed.ask("127.0.0.1")).toContain("is no public address");
    const all = setUp({ "https://localhost:8448/_matrix/x?y=%27": ok("local") }, { allowPrivateAddresses: true });
    expect(await all.ask("localhost:8448")).toBe("200 local");
  });

  it("says why nobody was reached, and gives up what is no name", async () => {
    const { ask } = setUp({});
    expect(await ask("one.example:1")).toBe("failed: nobody there");
    expect(await ask("no name")).toContain("not a server name");
    expect(await ask("one.example:99999")).toContain("no port");
  });

  it("does not wait for a document without end, and remembers that there was none", async () => {
    const { ask, clock, urls } = setUp(
      {
        [`https://one.example${WELL_KNOWN}`]: () => new Promise<Response>(() => undefined),
        "https://one.example:8448/_matrix/x?y=%27": ok("one"),
      },
      { wellKnownTime: 1_000 },
    );
    const first = ask("one.example");
    await Promise.resolve();
    clock.advance(1_000);
    expect(await first).toBe("200 one");
    expect(await ask("one.example")).toBe("200 one");
    expect(urls().filter((url) => url.includes("well-known"))).toHaveLength(1);
    const stop = new AbortController();
    clock.advance(60_000);
    const left = ask("one.example", stop.signal);
    stop.abort();
    expect(await left).toContain("failed");
  });

  it("ends a body that nobody reads on", async () => {
    let cancelled = 0;
    const endless = (): Response =>
      new Response(
        new ReadableStream({
          pull: (controller) => controller.enqueue(new Uint8Array(10)),
          cancel: () => {
            cancelled++;
          },
        }),
      );
    const { connector } = setUp({ "https://one.example:1/x": endless });
    const request = { method: "GET", uri: "/x", headers: [] };
    const result = await connector.request("one.example:1", request, new AbortController().signal);
    if (!result.ok) throw new Error(result.reason);
    for await (const piece of result.answer.body) {
      expect(piece).toHaveLength(10);
      break;
    }
    expect(cancelled).toBe(1);
  });

  it("sends no path that the platform would write otherwise than it was signed", async () => {
    const { connector, urls } = setUp({});
    for (const uri of ["/a/../b", "/a/%2e%2e/b", "/a?b='", "/ä"]) {
      const signal = new AbortController().signal;
      expect(await connector.request("one.example:1", { method: "GET", uri, headers: [] }, signal)).toMatchObject({
        ok: false,
      });
    }
    expect(urls()).toEqual([]);
  });
});
