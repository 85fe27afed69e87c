/**
 * Who sent a request: X-Matrix signatures (server-server API, "Request Authentication"). A request is signed as a
 * JSON object of its method, target, servers and body; the signature travels in an `Authorization` header.
 *
 * Both servers are named as they were before discovery. A header that does not hold is answered with 401 and
 * `M_UNAUTHORIZED`; nothing that a header says is known to be true before {@link verifyRequest} answered.
 */
import { decodeBase64, encodeUnpadded } from "../crypto/base64.js";
import { ok, UsageError } from "../errors.js";
import type { Result } from "../errors.js";
import type { KeyId, ServerName } from "../ids/brands.js";
import { isServerName, parseKeyId, parseServerName } from "../ids/grammar.js";
import { encodeCanonicalBytes } from "../json/canonical-bytes.js";
import type { JsonValue } from "../json/value.js";
import type { Cancel } from "../ports/cancel.js";
import type { Keys, VerifyRequest } from "../ports/keys.js";
import { isUsableForRequests } from "./keys/held.js";

/** What of a request is signed. */
export interface SignedRequest {
  /** As on the wire: `GET`, `PUT`. */
  readonly method: string;
  /** The path from `/_matrix/` on, with `?` and the query where there is one; neither scheme nor host. */
  readonly uri: string;
  readonly origin: string;
  readonly destination: string;
  /**
   * The body, parsed without loss (`parseLax`): bodies carry the events of rooms whose versions allow floats.
   * Absent for a request without a body, which is not the same as an empty object.
   */
  readonly content?: JsonValue;
}

/** The parameters of one X-Matrix header, by their names on the wire. */
export interface XMatrix {
  readonly origin: string;
  /** Older servers leave it out. */
  readonly destination?: string;
  /** The id of the key. */
  readonly key: string;
  /** The signature in base64. One sentence of the spec calls it `signature`; its samples and servers do not. */
  readonly sig: string;
}

/** An X-Matrix header whose origin and key id follow their grammar. Nothing of it is proven. */
export interface ParsedXMatrix extends XMatrix {
  readonly origin: ServerName;
  readonly key: KeyId;
}

/** Why a request is not believed, with what HTTP answers. */
export interface RequestRefusal {
  readonly status: 401;
  readonly errcode: "M_UNAUTHORIZED";
  /** One sentence for a person. */
  readonly reason: string;
}

/** A request as it arrived. */
export interface ReceivedRequest {
  readonly method: string;
  /** The target as it was on the wire, query included, before anything was decoded. */
  readonly uri: string;
  /** See {@link SignedRequest.content}. */
  readonly content?: JsonValue;
  /** Each `Authorization` header by itself: a server with several keys may send one for each. */
  readonly authorization: readonly string[];
}

/** What a request is judged by. */
export interface RequestVerifier {
  /** The receiving server's own name. */
  readonly server: string;
  /** In milliseconds since 1970: a key has to be valid now. */
  readonly now: number;
  readonly keys: Pick<Keys, "lookup" | "verify">;
  readonly cancel?: Cancel;
}

/** Who sent a request, proven. */
export interface RequestOrigin {
  readonly origin: ServerName;
  /** The keys by which it was proven. */
  readonly keyIds: readonly KeyId[];
}

/** The characters that one header may have: two server names, a key id and a signature take at most some 900. */
export const MAX_X_MATRIX_LENGTH = 4096;
/** The parameters that one header may have, unknown ones included. */
export const MAX_X_MATRIX_PARAMETERS = 16;
/** The X-Matrix headers that one request may have. */
export const MAX_X_MATRIX_HEADERS = 8;

/**
 * The bytes that a request's signature covers.
 * @throws UsageError where the content, or the target, is no text or value that JSON can hold.
 */
export function requestSignedBytes(request: SignedRequest): Uint8Array {
  const { method, uri, origin, destination, content } = request;
  const signed = { method, uri, origin, destination };
  return encodeCanonicalBytes(content === undefined ? signed : { ...signed, content });
}

/**
 * Signs a request: the value of its `Authorization` header.
 * @throws UsageError for what is no request: a method or target of another form, or no server names.
 */
export async function signRequest(request: SignedRequest, keys: Pick<Keys, "sign">, cancel?: Cancel): Promise<string> {
  const { method, uri, origin, destination } = request;
  if (!METHOD.test(method)) throw new UsageError("a request is signed with its method in capitals, such as `PUT`");
  if (!uri.startsWith("/"))
    throw new UsageError("a request is signed with its path and query, without scheme and host");
  for (const server of [origin, destination]) {
    if (!isServerName(server)) throw new UsageError("a request is signed with the names of two servers");
  }
  const { keyId, signature } = await keys.sign(requestSignedBytes(request), cancel);
  return formatXMatrix({ origin, destination, key: keyId, sig: encodeUnpadded(signature) });
}

/**
 * Writes an X-Matrix header the way that older servers read too: every value in quotes, names in lower case, no
 * space but the one after the scheme.
 * @throws UsageError for a value that no header can hold: a control character, or one outside ASCII.
 */
export function formatXMatrix({ origin, destination, key, sig }: XMatrix): string {
  const parameters = [["origin", origin], ...(destination === undefined ? [] : [["destination", destination]])];
  const all = [...parameters, ["key", key], ["sig", sig]];
  return `X-Matrix ${all.map(([name = "", value = ""]) => `${name}="${quotable(value)}"`).join(",")}`;
}

/**
 * Reads one X-Matrix header (RFC 9110 section 11.4, and what the spec grants older servers). The case of the scheme
 * and of names, the order, spaces around commas and `=`, empty elements and unknown parameters do not matter; a
 * value is a token, in which colons pass, or a quoted string. A name that occurs twice is refused: two readers that
 * each take another one would disagree about the sender.
 */
export function parseXMatrix(header: string): Result<ParsedXMatrix, RequestRefusal> {
  if (header.length > MAX_X_MATRIX_LENGTH) return refuse(`the header has over ${MAX_X_MATRIX_LENGTH} characters`);
  const scheme = SCHEME.exec(header)?.[0];
  if (scheme === undefined) return refuse("the header's scheme is not X-Matrix");
  const parameters = readParameters(header, scheme.length);
  if (!parameters.ok) return parameters;
  const [origin, key, sig] = ["origin", "key", "sig"].map((name) => parameters.value.get(name));
  if (origin === undefined || key === undefined || sig === undefined) {
    return refuse("the header lacks one of `origin`, `key` and `sig`");
  }
  const server = parseServerName(origin);
  if (!server.ok) return refuse("the header's `origin` is no server name");
  const keyId = parseKeyId(key);
  if (!keyId.ok) return refuse("the header's `key` is no key id");
  const required = { origin: server.value.name, key: keyId.value.id, sig };
  const destination = parameters.value.get("destination");
  return ok(Object.freeze(destination === undefined ? required : { ...required, destination }));
}

/**
 * Proves who sent a request. Headers of other schemes are passed over. The X-Matrix headers must be of one origin,
 * and be for this server where they say for whom. Every signature by a known Ed25519 key that is valid now must
 * verify, and there must be one: a key that its server has retired (`old_verify_keys`) speaks for events, not for
 * requests. Keys are asked for only once all else is in order.
 *
 * Throws only what the ports throw.
 */
export async function verifyRequest(
  request: ReceivedRequest,
  { server, now, keys, cancel }: RequestVerifier,
): Promise<Result<RequestOrigin, RequestRefusal>> {
  const headers = readAuthorization(request.authorization, server);
  if (!headers.ok) return headers;
  const { origin, signatures } = headers.value;
  const message = tryBytes({ ...request, origin, destination: server });
  if (message === undefined) return refuse("the request is not such as JSON can hold, so nobody can have signed it");
  const wanted = signatures.map(({ keyId }) => ({ server: origin, keyId, validAt: now }));
  const known = await keys.lookup(wanted, cancel);
  const checks: (VerifyRequest & { readonly keyId: KeyId })[] = [];
  signatures.forEach(({ keyId, signature }, index) => {
    const key = known[index];
    if (key !== undefined && isUsableForRequests(key, now)) checks.push({ keyId, key: key.key, message, signature });
  });
  if (checks.length === 0) return refuse(`${origin} has no such key that is known and valid now`);
  const outcomes = await keys.verify(
    checks.map(({ key, signature }) => ({ key, message, signature })),
    cancel,
  );
  const failed = checks.find((_, index) => outcomes[index] !== true);
  if (failed !== undefined) return refuse(`the signature by ${failed.keyId} of ${origin} does not verify`);
  return ok(Object.freeze({ origin, keyIds: Object.freeze(checks.map(({ keyId }) => keyId)) }));
}

const METHOD = /^[A-Z]+$/;
const SCHEME = /^x-matrix(?: +|$)/i;
const ANY_SCHEME = /^x-matrix(?![!#$%&'*+.^_`|~0-9a-z-])/i;
/** RFC 9110 section 5.6.2. */
const TOKEN = /[!#$%&'*+.^_`|~0-9A-Za-z-]+/y;
const TOKEN_OR_COLON = /[!#$%&'*+.^_`|~0-9A-Za-z:-]+/y;
/** RFC 9110 section 5.6.4. Each character can be read in one way only, so that this does not go back. */
const QUOTED = /"((?:[\t !#-[\]-~\u0080-\uffff]|\\[\t -~\u0080-\uffff])*)"/y;
const SPACE = /[ \t]*/y;
const COMMAS = /[ \t,]*/y;
const PRINTABLE = /^[ -~]*$/;
const SIGNATURE_BYTES = 64;

interface Signature {
  readonly keyId: KeyId;
  readonly signature: Uint8Array;
}

/** What the headers claim together. */
function readAuthorization(
  authorization: readonly string[],
  server: string,
): Result<{ readonly origin: ServerName; readonly signatures: readonly Signature[] }, RequestRefusal> {
  const headers = authorization.filter((header) => ANY_SCHEME.test(header));
  if (headers.length > MAX_X_MATRIX_HEADERS) return refuse(`the request has over ${MAX_X_MATRIX_HEADERS} signatures`);
  let origin: ServerName | undefined;
  const signatures: Signature[] = [];
  for (const header of headers) {
    const parsed = parseXMatrix(header);
    if (!parsed.ok) return parsed;
    const { origin: from, destination, key, sig } = parsed.value;
    if (destination !== undefined && destination !== server) return refuse("the request is for another server");
    if (origin !== undefined && origin !== from) return refuse("the request names two origins");
    origin = from;
    // Other algorithms may stand beside Ed25519; nobody can check them.
    if (!key.startsWith("ed25519:")) continue;
    const signature = decodeBase64(sig);
    if (signature?.length !== SIGNATURE_BYTES) return refuse(`the signature by ${key} is not 64 bytes in base64`);
    signatures.push({ keyId: key, signature });
  }
  if (origin === undefined) return refuse("the request has no X-Matrix signature");
  if (signatures.length === 0) return refuse("the request has no Ed25519 signature");
  return ok({ origin, signatures });
}

function readParameters(header: string, start: number): Result<ReadonlyMap<string, string>, RequestRefusal> {
  const parameters = new Map<string, string>();
  let at = start;
  const take = (pattern: RegExp): RegExpExecArray | undefined => {
    pattern.lastIndex = at;
    const match = pattern.exec(header) ?? undefined;
    at += match?.[0].length ?? 0;
    return match;
  };
  // RFC 9110 section 5.6.1.2: empty elements of a list are read and passed over.
  for (take(COMMAS); at < header.length;) {
    const name = take(TOKEN)?.[0].toLowerCase();
    take(SPACE);
    if (name === undefined || header[at] !== "=") return refuse(`the header is malformed at character ${at}`);
    at++;
    take(SPACE);
    const quoted = take(QUOTED);
    const value = quoted === undefined ? take(TOKEN_OR_COLON)?.[0] : (quoted[1] ?? "").replace(/\\([^])/g, "$1");
    if (value === undefined) return refuse(`the header is malformed at character ${at}`);
    if (parameters.has(name)) return refuse(`the header has \`${name}\` twice`);
    parameters.set(name, value);
    if (parameters.size > MAX_X_MATRIX_PARAMETERS) {
      return refuse(`the header has over ${MAX_X_MATRIX_PARAMETERS} parameters`);
    }
    const separator = take(COMMAS)?.[0] ?? "";
    if (at < header.length && !separator.includes(",")) return refuse(`the header is malformed at character ${at}`);
  }
  return ok(parameters);
}

function quotable(value: string): string {
  if (!PRINTABLE.test(value)) throw new UsageError("a header's parameters are printable ASCII");
  return value.replace(/["\\]/g, "\\$&");
}

/** A body that was parsed with loss may hold what canonical JSON cannot: who sent it must not make the host fail. */
function tryBytes(request: SignedRequest): Uint8Array | undefined {
  try {
    return requestSignedBytes(request);
  } catch (error) {
    if (error instanceof UsageError) return undefined;
    throw error;
  }
}

function refuse(reason: string): { readonly ok: false; readonly error: RequestRefusal } {
  return { ok: false, error: Object.freeze({ status: 401, errcode: "M_UNAUTHORIZED", reason }) };
}
