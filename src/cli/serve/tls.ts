/** The certificate that other servers are shown: one that is given, or a self-signed one of its own. */
import { readFile } from "node:fs/promises";
import { Failure } from "../failure.js";
import { belongTogether, isFit, selfSignedCertificate } from "./certificate.js";
import type { CertificateAndKey } from "./certificate.js";
import { files } from "./data-folder.js";
import type { DataFolder } from "./data-folder.js";
import type { Log } from "./log.js";
import { codeOf, createPrivate, messageOf, readPrivate } from "./private-file.js";
import type { Settings } from "./settings.js";

const DAY = 24 * 60 * 60 * 1000;
const LIFETIME = 10 * 365 * DAY;
/** A self-signed one is replaced when it has less than this left. */
const LEAST_LEFT = 30 * DAY;

/** @throws Failure for files that cannot be read, or do not belong together. */
export async function certificateFor(settings: Settings, folder: DataFolder, log: Log): Promise<CertificateAndKey> {
  if (settings.tls !== undefined) return given(settings.tls);
  const now = Date.now();
  const [certificateFile, keyFile] = [folder.file(files.certificate), folder.file(files.certificateKey)];
  const certificate = await readFile(certificateFile, "utf8").catch((error: unknown) => {
    if (codeOf(error) === "ENOENT") return undefined;
    throw new Failure(`${certificateFile} cannot be read: ${messageOf(error)}`);
  });
  const key = await readPrivate(keyFile, "key of the certificate");
  if (certificate !== undefined && key !== undefined && belongTogether({ certificate, key })) {
    if (isFit(certificate, settings.nameHost, now + LEAST_LEFT)) return { certificate, key };
  }
  const made = selfSignedCertificate({ host: settings.nameHost, notBefore: now - DAY, notAfter: now + LIFETIME });
  await createPrivate(keyFile, made.key);
  await createPrivate(certificateFile, made.certificate);
  log.info("certificate.made", { file: certificateFile, for: settings.nameHost });
  return made;
}

async function given({ key: keyFile, certificate: certificateFile }: NonNullable<Settings["tls"]>) {
  const [key, certificate] = await Promise.all([readGiven(keyFile), readGiven(certificateFile)]);
  if (belongTogether({ certificate, key })) return { certificate, key };
  throw new Failure(`${keyFile} is not the private key of ${certificateFile}, or one of them is no PEM`);
}

/** @throws Failure if it cannot be read. */
export async function readGiven(path: string): Promise<string> {
  return readFile(path, "utf8").catch((error: unknown) => {
    throw new Failure(`${path} cannot be read: ${messageOf(error)}`);
  });
}
