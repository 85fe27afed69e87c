/** Paths and queries: what of them is text, and what is written in its place. */
import type { Endpoint } from "../../../federation/endpoints.js";
import type { Parts } from "./model.js";

const LONE_SURROGATE = /[\ud800-\udbff](?![\udc00-\udfff])|(?<![\ud800-\udbff])[\udc00-\udfff]/g;

/**
 * Text in a path or a query. All but RFC 3986's unreserved characters is escaped: what platforms would escape
 * themselves would not be what was signed. What is no Unicode cannot be said; U+FFFD stands in its place.
 */
export function escaped(text: string): string {
  return encodeURIComponent(text.replace(LONE_SURROGATE, "\ufffd")).replace(
    /[!'()*]/g,
    (character) => `%${character.charCodeAt(0).toString(16).toUpperCase()}`,
  );
}

function unescaped(text: string): string | undefined {
  try {
    return decodeURIComponent(text);
  } catch {
    // Bytes that are no UTF-8, or a `%` without them.
    return undefined;
  }
}

/** What no path can say: URLs with these are read as others, escaped or not. */
const UNSAYABLE: ReadonlySet<string> = new Set(["", ".", ".."]);

/** The target of a request, from `/_matrix/` on; `undefined` where there is none that says it. */
export function uriOf({ path }: Endpoint, parts: Parts): string | undefined {
  if (Object.values(parts.path).some((text) => UNSAYABLE.has(text))) return undefined;
  const filled = path.replace(/\{(\w+)\}/g, (_, name: string) => escaped(parts.path[name] ?? ""));
  const query = (parts.query ?? []).map(([name, value]) => `${name}=${escaped(value)}`).join("&");
  return query === "" ? filled : `${filled}?${query}`;
}

/** The path of a target as it is written, and the query without its `?`. */
export function splitUri(uri: string): { readonly path: string; readonly query: string } {
  const at = uri.indexOf("?");
  return at < 0 ? { path: uri, query: "" } : { path: uri.slice(0, at), query: uri.slice(at + 1) };
}

/** What an endpoint's path has in braces, still escaped; `undefined` where the path is another one. */
export type PathMatcher = (segments: readonly string[]) => ReadonlyMap<string, string> | undefined;

/** Segments are told apart before they are decoded: an escaped slash is part of one. */
export function segmentsOf(path: string): readonly string[] {
  return path.split("/");
}

export function matcherOf({ path }: Endpoint): PathMatcher {
  const wanted = segmentsOf(path).map((segment) => {
    const [, name] = /^\{(\w+)\}$/.exec(segment) ?? [];
    return { segment, name };
  });
  return (segments) => {
    if (segments.length !== wanted.length) return undefined;
    const found = new Map<string, string>();
    for (const [at, { segment, name }] of wanted.entries()) {
      const given = segments[at] ?? "";
      if (name === undefined ? given !== segment : given === "") return undefined;
      if (name !== undefined) found.set(name, given);
    }
    return found;
  };
}

/** Decodes every value; `undefined` where one cannot be. */
export function decodePath(found: ReadonlyMap<string, string>): ReadonlyMap<string, string> | undefined {
  const decoded = new Map<string, string>();
  for (const [name, value] of found) {
    const text = unescaped(value);
    if (text === undefined) return undefined;
    decoded.set(name, text);
  }
  return decoded;
}

/** Values by their names, in order, as forms write them: `+` is a space. `undefined` where one cannot be decoded. */
export function decodeQuery(query: string): ReadonlyMap<string, readonly string[]> | undefined {
  const decoded = new Map<string, string[]>();
  for (const pair of query.split("&")) {
    if (pair === "") continue;
    const at = pair.indexOf("=");
    const [name, value] = [at < 0 ? pair : pair.slice(0, at), at < 0 ? "" : pair.slice(at + 1)].map((text) =>
      unescaped(text.replaceAll("+", " ")),
    );
    if (name === undefined || value === undefined) return undefined;
    const values = decoded.get(name);
    if (values === undefined) decoded.set(name, [value]);
    else values.push(value);
  }
  return decoded;
}
