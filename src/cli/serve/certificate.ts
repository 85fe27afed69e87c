/**
 * A self-signed certificate, for servers that are given none. node:crypto makes keys and signatures but no X.509, so
 * the few structures of RFC 5280 that it takes are written here, in DER.
 */
import { createPublicKey, generateKeyPairSync, randomBytes, sign, X509Certificate } from "node:crypto";
import { isIP } from "node:net";

/** A certificate and its key, as PEM. */
export interface CertificateAndKey {
  readonly certificate: string;
  readonly key: string;
}

export interface SelfSigned {
  /** A DNS name, or an IP address without brackets. */
  readonly host: string;
  /** Milliseconds since 1970. */
  readonly notBefore: number;
  readonly notAfter: number;
}

/** P-256 with SHA-256, which every TLS library can verify. It is for this server, and no authority for others. */
export function selfSignedCertificate({ host, notBefore, notAfter }: SelfSigned): CertificateAndKey {
  const { privateKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
  const publicKey = createPublicKey(privateKey).export({ type: "spki", format: "der" });
  const name = sequence(set(sequence(oid("2.5.4.3"), utf8String(commonName(host)))));
  const algorithm = sequence(oid("1.2.840.10045.4.3.2"));
  const tbs = sequence(
    tagged(0, integer(Buffer.of(2))),
    integer(randomBytes(16)),
    algorithm,
    name,
    sequence(time(notBefore), time(notAfter)),
    name,
    publicKey,
    tagged(3, sequence(...extensions(host))),
  );
  const certificate = sequence(tbs, algorithm, bitString(sign("sha256", tbs, privateKey)));
  return {
    certificate: pem("CERTIFICATE", certificate),
    key: privateKey.export({ type: "pkcs8", format: "pem" }).toString(),
  };
}

/** Whether a certificate is for this host and will be for a while. */
export function isFit(certificate: string, host: string, until: number): boolean {
  try {
    const read = new X509Certificate(certificate);
    const matches = isIP(host) === 0 ? read.checkHost(host) : read.checkIP(host);
    return matches !== undefined && Date.parse(read.validTo) > until;
  } catch {
    return false;
  }
}

/** Whether a key is the certificate's. */
export function belongTogether({ certificate, key }: CertificateAndKey): boolean {
  try {
    const ofKey = createPublicKey(key).export({ type: "spki", format: "der" });
    return ofKey.equals(new X509Certificate(certificate).publicKey.export({ type: "spki", format: "der" }));
  } catch {
    return false;
  }
}

/** RFC 5280 has room for 64 characters; who verifies looks at the alternative name. */
function commonName(host: string): string {
  return host.length <= 64 ? host : "roomdag";
}

function extensions(host: string): readonly Buffer[] {
  // GeneralName: dNSName is [2], iPAddress [7], both implicit.
  const general = isIP(host) === 0 ? der(0x82, Buffer.from(host, "ascii")) : der(0x87, addressBytes(host));
  return [
    // basicConstraints: no authority. extKeyUsage: serverAuth. subjectAltName. A keyUsage would have to allow to sign
    // certificates, or OpenSSL takes it for one that somebody else has issued.
    sequence(oid("2.5.29.19"), boolean(true), octetString(sequence())),
    sequence(oid("2.5.29.37"), octetString(sequence(oid("1.3.6.1.5.5.7.3.1")))),
    sequence(oid("2.5.29.17"), octetString(sequence(general))),
  ];
}

function addressBytes(address: string): Buffer {
  if (isIP(address) === 4) return Buffer.from(address.split(".").map(Number));
  const [head = "", tail] = withoutQuad(address).split("::");
  const groups = (text: string): readonly string[] => (text === "" ? [] : text.split(":"));
  const [first, last] = [groups(head), groups(tail ?? "")];
  const middle = new Array<string>(tail === undefined ? 0 : 8 - first.length - last.length).fill("0");
  const words = [...first, ...middle, ...last].map((group) => Number.parseInt(group, 16));
  return Buffer.from(words.flatMap((word) => [word >> 8, word & 0xff]));
}

/** `::ffff:192.0.2.1` with its dotted quad as two groups. */
function withoutQuad(address: string): string {
  const at = address.lastIndexOf(":") + 1;
  const quad = address.slice(at);
  if (!quad.includes(".")) return address;
  const [a = 0, b = 0, c = 0, d = 0] = quad.split(".").map(Number);
  return `${address.slice(0, at)}${((a << 8) | b).toString(16)}:${((c << 8) | d).toString(16)}`;
}

// ---- DER --------------------------------------------------------------------------------------------------

function der(tag: number, ...parts: readonly Uint8Array[]): Buffer {
  const content = Buffer.concat(parts);
  return Buffer.concat([Buffer.of(tag), lengthOf(content.length), content]);
}

function lengthOf(length: number): Buffer {
  if (length < 0x80) return Buffer.of(length);
  const bytes: number[] = [];
  for (let rest = length; rest > 0; rest >>= 8) bytes.unshift(rest & 0xff);
  return Buffer.of(0x80 | bytes.length, ...bytes);
}

function sequence(...parts: readonly Uint8Array[]): Buffer {
  return der(0x30, ...parts);
}

function set(...parts: readonly Uint8Array[]): Buffer {
  return der(0x31, ...parts);
}

/** An explicit context tag. */
function tagged(number: number, content: Uint8Array): Buffer {
  return der(0xa0 | number, content);
}

/** A positive integer in as few bytes as it takes. */
function integer(bytes: Uint8Array): Buffer {
  const from = bytes.findIndex((byte) => byte !== 0);
  const short = from === -1 ? Buffer.of(0) : Buffer.from(bytes.subarray(from));
  const isNegative = (short[0] ?? 0) >= 0x80;
  return der(0x02, isNegative ? Buffer.concat([Buffer.of(0), short]) : short);
}

function boolean(value: boolean): Buffer {
  return der(0x01, Buffer.of(value ? 0xff : 0));
}

function octetString(content: Uint8Array): Buffer {
  return der(0x04, content);
}

function bitString(content: Uint8Array): Buffer {
  return der(0x03, Buffer.of(0), content);
}

function utf8String(text: string): Buffer {
  return der(0x0c, Buffer.from(text, "utf8"));
}

function oid(dotted: string): Buffer {
  const [first = 0, second = 0, ...rest] = dotted.split(".").map(Number);
  return der(0x06, Buffer.from([40 * first + second, ...rest.flatMap(base128)]));
}

function base128(value: number): readonly number[] {
  const bytes = [value & 0x7f];
  for (let rest = value >> 7; rest > 0; rest >>= 7) bytes.unshift(0x80 | (rest & 0x7f));
  return bytes;
}

/** UTCTime up to 2049, GeneralizedTime from 2050 (RFC 5280, 4.1.2.5). */
function time(milliseconds: number): Buffer {
  const digits = `${new Date(milliseconds).toISOString().slice(0, 19).replaceAll(/[-:T]/g, "")}Z`;
  return digits < "2050" ? der(0x17, Buffer.from(digits.slice(2))) : der(0x18, Buffer.from(digits));
}

function pem(label: string, bytes: Buffer): string {
  const lines = bytes.toString("base64").match(/.{1,64}/g) ?? [];
  return [`-----BEGIN ${label}-----`, ...lines, `-----END ${label}-----`, ""].join("\n");
}
