/** Servers that speak HTTP with each other in one process, without sockets. */
import type { Connector } from "../../src/adapters/http/connector.js";
import { createHttpTransport } from "../../src/adapters/http/index.js";
import type { HttpHandler, HttpTransport, HttpTransportOptions } from "../../src/adapters/http/index.js";
import { createKeyDirectory, createManualClock, createMemoryKeys } from "../../src/adapters/memory/index.js";
import type { KeyDirectory, ManualClock } from "../../src/adapters/memory/index.js";
import { signRequest } from "../../src/federation/index.js";
import { encodeCanonical } from "../../src/json/index.js";
import type { JsonValue } from "../../src/json/index.js";
import { testKeyOf } from "../../src/testing/keys.js";

/** Names lead to handlers. Anything else is nobody. */
export class HttpWorld {
  readonly clock: ManualClock = createManualClock(1_700_000_000_000);
  readonly directory: KeyDirectory = createKeyDirectory();
  readonly handlers = new Map<string, Pick<HttpHandler, "handle">>();

  connector(): Connector {
    return {
      request: async (server, { method, uri, headers, body }, signal) => {
        const handler = this.handlers.get(server);
        if (handler === undefined) return { ok: false, reason: "there is nobody" };
        const sent = body === undefined ? {} : { body: new Uint8Array(body) };
        const fields = headers.map(([name, value]): [string, string] => [name, value]);
        const request = new Request(`https://${server}${uri}`, { method, headers: fields, signal, ...sent });
        const response = await handler.handle(request, { address: "192.0.2.1" });
        return { ok: true, answer: { status: response.status, body: piecesOf(response) } };
      },
    };
  }

  keys(server: string): ReturnType<typeof createMemoryKeys> {
    return createMemoryKeys(testKeyOf(server), this.directory);
  }

  transport(server: string, options: Partial<HttpTransportOptions> = {}): HttpTransport {
    const { clock } = this;
    const transport = createHttpTransport({
      server,
      keys: this.keys(server),
      clock,
      connector: this.connector(),
      ...options,
    });
    this.handlers.set(server, transport);
    return transport;
  }

  /** A request as `origin` would send it. */
  async signed(
    origin: string,
    destination: string,
    { method = "GET", uri, content }: { readonly method?: string; readonly uri: string; readonly content?: JsonValue },
  ): Promise<Request> {
    const signable = { method, uri, origin, destination };
    const authorization = await signRequest(
      content === undefined ? signable : { ...signable, content },
      this.keys(origin),
    );
    return requestOf(uri, {
      method,
      headers: { Authorization: authorization },
      ...(content === undefined ? {} : { body: encodeCanonical(content) }),
    });
  }
}

export function requestOf(uri: string, init: RequestInit = {}): Request {
  return new Request(`https://here.example${uri}`, init);
}

async function* piecesOf({ body }: Response): AsyncGenerator<Uint8Array, void, undefined> {
  const reader: ReadableStreamDefaultReader<Uint8Array> | undefined = body?.getReader();
  for (let read = await reader?.read(); read?.done === false; read = await reader?.read()) yield read.value;
}
