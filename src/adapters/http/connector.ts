/** How requests get to a server and answers come back: the part of a client that differs between platforms. */
import type { HeaderFields } from "../../federation/discovery/well-known.js";

/** A request to a server, signed. */
export interface HttpRequest {
  readonly method: string;
  /** The path and query. Host, scheme and port are the connector's. */
  readonly uri: string;
  /** Neither `Host` nor what frames the body. */
  readonly headers: HeaderFields;
  readonly body?: Uint8Array;
}

/** The beginning of an answer; its body follows. */
export interface HttpAnswer {
  readonly status: number;
  /**
   * Fails if the answer ends halfway. It is read once: to the end, or until its reader stops (`return`), which ends
   * the connection.
   */
  readonly body: AsyncIterable<Uint8Array>;
}

/** What came of a request. */
export type Connected =
  | { readonly ok: true; readonly answer: HttpAnswer }
  /** Nobody answered: not found, not to be connected to, or gone. One sentence for a person. */
  | { readonly ok: false; readonly reason: string };

/**
 * Finds servers and speaks HTTPS with them. Certificates are checked for the name that discovery says, redirects are
 * not followed.
 */
export interface Connector {
  /** `signal` ends it, whatever it is doing; the body of an answer too. */
  request(server: string, request: HttpRequest, signal: AbortSignal): Promise<Connected>;
  /** Ends all connections. */
  close?(): Promise<void>;
}
