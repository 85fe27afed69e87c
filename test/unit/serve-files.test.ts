/** What `roomdag serve` keeps in its folder: certificate, signing key, token, lock. */
import { X509Certificate } from "node:crypto";
import { chmodSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { connect, createServer } from "node:tls";
import { spawn, spawnSync } from "node:child_process";
import { afterAll, describe, expect, it } from "vitest";
import { belongTogether, isFit, selfSignedCertificate } from "../../src/cli/serve/certificate.js";
import { apiToken, files, instanceOf, openDataFolder, serverOf } from "../../src/cli/serve/data-folder.js";
import { formatKey, parseKeyFile, signingKeys } from "../../src/cli/serve/key-file.js";
import { createLog } from "../../src/cli/serve/log.js";
import type { Log } from "../../src/cli/serve/log.js";
import { readSettings } from "../../src/cli/serve/settings.js";
import { certificateFor } from "../../src/cli/serve/tls.js";

const root = mkdtempSync(join(tmpdir(), "roomdag-serve-"));
afterAll(() => rmSync(root, { recursive: true }));
let made = 0;
const folderPath = (): string => join(root, String(made++));
const day = 24 * 60 * 60 * 1000;
const now = Date.now();
const forHost = (host: string) => selfSignedCertificate({ host, notBefore: now - day, notAfter: now + 400 * day });

/** What TLS on both sides makes of a certificate that is trusted by itself. */
function handshake(made_: ReturnType<typeof forHost>, host: string): Promise<string> {
  return new Promise((resolve) => {
    const server = createServer({ cert: made_.certificate, key: made_.key }, (socket) => socket.end());
    server.listen(0, "127.0.0.1", () => {
      const { port } = server.address() as AddressInfo;
      const options = {
        host: "127.0.0.1",
        port,
        ca: made_.certificate,
        servername: /^[\d.:]+$/.test(host) ? "" : host,
      };
      const socket = connect({ ...options, checkServerIdentity: (_, cert) => isNamed(cert.raw, host) }, () =>
        end("trusted"),
      );
      const end = (outcome: string): void => {
        socket.destroy();
        server.close(() => resolve(outcome));
      };
      socket.on("error", (error: Error) => end(error.message));
    });
  });
}

function isNamed(raw: Buffer, host: string): Error | undefined {
  const certificate = new X509Certificate(raw);
  const found = /^[\d.:a-f]+$/.test(host) ? certificate.checkIP(host) : certificate.checkHost(host);
  return found === undefined ? new Error("another name") : undefined;
}

describe("a self-signed certificate", () => {
  it.each(["localhost", "matrix.example.org", "127.0.0.1", "2001:db8::7", "::1", "::ffff:192.0.2.1"])(
    "is one for %s, by X509Certificate's reading",
    (host) => {
      const { certificate, key } = forHost(host);
      const read = new X509Certificate(certificate);
      expect(isNamed(read.raw, host)).toBeUndefined();
      expect(isNamed(read.raw, "other.example")).toBeInstanceOf(Error);
      expect(read.verify(read.publicKey)).toBe(true);
      expect(read.checkIssued(read)).toBe(true);
      expect(read.ca).toBe(false);
      expect(read.publicKey.asymmetricKeyDetails).toEqual({ namedCurve: "prime256v1" });
      expect(belongTogether({ certificate, key })).toBe(true);
      expect(belongTogether({ certificate, key: forHost(host).key })).toBe(false);
    },
  );

  it("is trusted by TLS when it is given as an authority, and not for another name", async () => {
    const made_ = forHost("localhost");
    expect(await handshake(made_, "localhost")).toBe("trusted");
    expect(await handshake(made_, "other.example")).toBe("another name");
    expect(await handshake(forHost("127.0.0.1"), "127.0.0.1")).toBe("trusted");
  });

  it("has a serial number, a time before and after 2050, and a name longer than a common name may be", () => {
    const host = `${"a".repeat(60)}.${"b".repeat(60)}.example`;
    const late = Date.UTC(2055, 5, 1, 12);
    const { certificate } = selfSignedCertificate({ host, notBefore: now, notAfter: late });
    const read = new X509Certificate(certificate);
    expect(Date.parse(read.validTo)).toBe(late);
    expect(Date.parse(read.validFrom)).toBe(Math.floor(now / 1000) * 1000);
    expect(read.checkHost(host)).toBe(host);
    const numbers = Array.from(
      { length: 40 },
      () => new X509Certificate(forHost("a.example").certificate).serialNumber,
    );
    expect(new Set(numbers).size).toBe(40);
    expect(numbers.every((number) => !/^(?:00)*$/.test(number) && number.length <= 32)).toBe(true);
  });

  it("is fit as long as it is for that host, and for long enough", () => {
    const { certificate } = forHost("localhost");
    expect(isFit(certificate, "localhost", now + 300 * day)).toBe(true);
    expect(isFit(certificate, "localhost", now + 500 * day)).toBe(false);
    expect(isFit(certificate, "other.example", now)).toBe(false);
    expect(isFit("no certificate", "localhost", now)).toBe(false);
  });

  const openssl = spawnSync("openssl", ["version"]);
  it.skipIf(openssl.status !== 0)("is one by the openssl command too", () => {
    const file = join(root, "openssl.pem");
    writeFileSync(file, forHost("localhost").certificate);
    const run = spawnSync("openssl", ["verify", "-CAfile", file, file], { encoding: "utf8" });
    expect(`${run.stdout}${run.stderr}`).toContain("OK");
  });
});

const lines: string[] = [];
const log: Log = createLog({ format: "json", level: "debug", write: (line) => lines.push(line), now: () => 0 });

describe("the certificate of a server", () => {
  it("is made once, and anew when it is for another name or does not fit its key", async () => {
    const data = folderPath();
    const settings = await readSettings(["--name", "localhost:8449", "--data", data], true);
    const folder = await openDataFolder(data, "localhost:8449");
    const first = await certificateFor(settings, folder, log);
    expect(await certificateFor(settings, folder, log)).toEqual(first);
    expect(statSync(folder.file(files.certificateKey)).mode & 0o777).toBe(0o600);
    const other = await readSettings(["--name", "127.0.0.1:8449", "--data", data], true);
    const second = await certificateFor(other, folder, log);
    expect(isFit(second.certificate, "127.0.0.1", now)).toBe(true);
    writeFileSync(folder.file(files.certificateKey), first.key);
    const third = await certificateFor(other, folder, log);
    expect(third.certificate).not.toBe(second.certificate);
    expect(belongTogether(third)).toBe(true);
    await folder.release();
  });

  it("may be given, and then has to belong to its key", async () => {
    const data = folderPath();
    mkdirSync(data);
    const { certificate, key } = forHost("localhost");
    const [cert, good, bad] = ["c.pem", "k.pem", "x.pem"].map((name) => join(data, name)) as [string, string, string];
    writeFileSync(cert, certificate);
    writeFileSync(good, key);
    writeFileSync(bad, forHost("localhost").key);
    const folder = await openDataFolder(data, "localhost");
    const using = (keyFile: string) =>
      readSettings(["--name", "localhost", "--data", data, "--tls-cert", cert, "--tls-key", keyFile], true);
    expect(await certificateFor(await using(good), folder, log)).toEqual({ certificate, key });
    await expect(certificateFor(await using(bad), folder, log)).rejects.toThrow(/is not the private key of/);
    await expect(certificateFor(await using(join(data, "none")), folder, log)).rejects.toThrow(/cannot be read/);
    await folder.release();
  });
});

describe("the signing key", () => {
  const seed = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8";
  it("is read as Synapse writes it, and written so", () => {
    const [key, ...others] = parseKeyFile(`ed25519 a_AbCd ${seed}\n`, "k");
    expect(others).toEqual([]);
    expect(key.keyId).toBe("ed25519:a_AbCd");
    expect([...key.seed]).toEqual([...Array(32).keys()]);
    expect(formatKey(key)).toBe(`ed25519 a_AbCd ${seed}\n`);
    expect(parseKeyFile(`# old\n\ned25519 a ${seed}\r\ned25519 b ${seed}`, "k").map(({ keyId }) => keyId)).toEqual([
      "ed25519:a",
      "ed25519:b",
    ]);
  });

  it.each([
    ["", /holds no signing key/],
    ["ed25519 a_1", /line 1, is no signing key/],
    [`curve25519 a_1 ${seed}`, /line 1/],
    [`ed25519 a:1 ${seed}`, /line 1/],
    [`ed25519 a_1 ${seed}x`, /line 1/],
    [`ed25519 a_1 ${seed} more`, /line 1/],
    [`# a comment\ned25519 a_1 short`, /line 2/],
    [`ed25519 a ${seed}\ned25519 a ${seed}`, /two keys of one version/],
  ])("that is written as %j is refused, and not repeated", (text, says) => {
    expect(() => parseKeyFile(text, "k")).toThrow(says);
    try {
      parseKeyFile(text, "k");
    } catch (error) {
      expect(String(error)).not.toContain(seed);
    }
  });

  it("is made where there is none, for its owner alone, and stays", async () => {
    const path = join(root, "made.key");
    const [first] = await signingKeys(path, true);
    expect(first.keyId).toMatch(/^ed25519:a_[0-9a-f]{8}$/);
    expect(statSync(path).mode & 0o777).toBe(0o600);
    expect(await signingKeys(path, true)).toEqual([first]);
    await expect(signingKeys(join(root, "none.key"), false)).rejects.toThrow(/there is no signing key/);
  });

  it.skipIf(process.platform === "win32")("that others may read is refused, with what to do", async () => {
    const path = join(root, "open.key");
    writeFileSync(path, `ed25519 a_1 ${seed}\n`);
    chmodSync(path, 0o640);
    await expect(signingKeys(path, true)).rejects.toThrow(`can be read by others: chmod 600 ${path}`);
    chmodSync(path, 0o400);
    expect((await signingKeys(path, true))[0].keyId).toBe("ed25519:a_1");
  });
});

describe("a data folder", () => {
  it("is one server's, and is used by one process at a time", async () => {
    const path = folderPath();
    const folder = await openDataFolder(path, "one.example");
    expect(await serverOf(path)).toBe("one.example");
    await expect(openDataFolder(path, "one.example")).rejects.toThrow(`is in use by process ${process.pid}`);
    await folder.release();
    await expect(openDataFolder(path, "two.example")).rejects.toThrow(/belongs to one\.example/);
    const again = await openDataFolder(path, "one.example");
    await again.release();
    await expect(serverOf(folderPath())).rejects.toThrow(/is no data folder/);
  });

  it("is taken over from a process that is gone, also if another one has its number now", async () => {
    const path = folderPath();
    await (await openDataFolder(path, "one.example")).release();
    const gone = spawnSync(process.execPath, ["-e", ""]).pid;
    for (const stale of [`${gone} unknown\n`, `${process.pid} 0/0\n`, "nonsense\n", ""]) {
      writeFileSync(join(path, files.lock), stale);
      const folder = await openDataFolder(path, "one.example");
      expect(readFileSync(join(path, files.lock), "utf8")).toContain(String(process.pid));
      await folder.release();
      expect(existsSync(join(path, files.lock))).toBe(false);
    }
  });

  it("of several that come at once takes one", async () => {
    const path = folderPath();
    const takes = await Promise.allSettled([1, 2, 3, 4].map(() => openDataFolder(path, "one.example")));
    expect(takes.filter(({ status }) => status === "fulfilled")).toHaveLength(1);
  });

  it.runIf(existsSync("/proc/self/stat"))(
    "is free when its process has ended, though its parent never asked how",
    async () => {
      // The shell becomes a program that has a child and does not know of it.
      const parent = spawn("sh", ["-c", "sleep 0.1 & echo $!; exec sleep 60"], { stdio: ["ignore", "pipe", "ignore"] });
      try {
        const pid = await new Promise<string>((resolve) => {
          parent.stdout.once("data", (text) => resolve(String(text).trim()));
        });
        const stat = (): readonly string[] =>
          readFileSync(`/proc/${pid}/stat`, "utf8").split(") ")[1]?.split(" ") ?? [];
        const boot = readFileSync("/proc/sys/kernel/random/boot_id", "utf8").trim();
        const holder = `${pid} ${boot}/${stat()[19] ?? ""}\n`;
        const path = folderPath();
        mkdirSync(path);
        writeFileSync(join(path, files.lock), holder);
        while (stat()[0] !== "Z") await new Promise((resolve) => setTimeout(resolve, 10));
        const folder = await openDataFolder(path, "one.example");
        await folder.release();
      } finally {
        parent.kill();
      }
    },
  );

  it("that cannot be made is told of", async () => {
    const file = join(root, "file");
    writeFileSync(file, "");
    await expect(openDataFolder(join(file, "data"), "one.example")).rejects.toThrow(/cannot be used/);
  });

  it("has a token, which stays and is for its owner alone", async () => {
    const folder = await openDataFolder(folderPath(), "one.example");
    const token = await apiToken(folder);
    expect(token).toMatch(/^[\w-]{43}$/);
    expect(await apiToken(folder)).toBe(token);
    expect(statSync(folder.file(files.token)).mode & 0o777).toBe(0o600);
    writeFileSync(folder.file(files.token), "short\n");
    expect(await apiToken(folder)).toMatch(/^[\w-]{43}$/);
    await folder.release();
  });

  it("has a name for its process, which stays and is no other folder's", async () => {
    const folder = await openDataFolder(folderPath(), "one.example");
    const name = await instanceOf(folder);
    expect(name).toMatch(/^[\w-]{16}$/);
    expect(await instanceOf(folder)).toBe(name);
    const other = await openDataFolder(folderPath(), "one.example");
    expect(await instanceOf(other)).not.toBe(name);
    await Promise.all([folder.release(), other.release()]);
  });
});

describe("the log", () => {
  it("is a JSON object a line, with what is known and nothing else", () => {
    const written: string[] = [];
    const json = createLog({ format: "json", level: "info", write: (line) => written.push(line), now: () => 0 });
    json.info("started", { server: "a.example", port: 1, gone: undefined, servers: ["x", "y"] });
    json.debug("unheard");
    expect(json.says("debug")).toBe(false);
    expect(written).toEqual([
      '{"time":"1970-01-01T00:00:00.000Z","level":"info","event":"started","server":"a.example","port":1,' +
        '"servers":["x","y"]}\n',
    ]);
  });

  it("as text keeps to one line, whatever others wrote", () => {
    const written: string[] = [];
    const text = createLog({ format: "text", level: "debug", write: (line) => written.push(line), now: () => 0 });
    text.warn("refused", { reason: 'a\nb "c" \u001b[31m', server: "a.example", n: 2, ids: ["x", "y"] });
    expect(written).toEqual([
      '1970-01-01T00:00:00.000Z warn  refused reason="a\\\\u000ab \\"c\\" \\\\u001b[31m" ' +
        "server=a.example n=2 ids=x,y\n",
    ]);
  });
});
