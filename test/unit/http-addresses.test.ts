import { BlockList } from "node:net";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { addressCheck, isIpAddress } from "../../src/adapters/http/addresses.js";
import { UsageError } from "../../src/errors.js";

const check = addressCheck();
const isRefused = (address: string): boolean => check(address) !== undefined;

describe("addresses that a server may connect to", () => {
  it("are public ones", () => {
    for (const address of [
      "1.1.1.1",
      "8.8.8.8",
      "93.184.216.34",
      "100.63.255.255",
      "100.128.0.0",
      "172.15.255.255",
      "172.32.0.0",
      "223.255.255.255",
      "2606:2800:220:1:248:1893:25c8:1946",
      "2a00:1450:4001:81b::200e",
      "64:ff9b::8.8.8.8",
      "64:ff9b::808:808",
    ]) {
      expect(check(address), address).toBeUndefined();
    }
  });

  it("are no others: private, loopback, link-local, shared, special, multicast, reserved, in any form of IPv6", () => {
    for (const address of [
      "0.0.0.0",
      "10.0.0.1",
      "100.64.0.1",
      "100.127.255.255",
      "127.0.0.1",
      "127.255.255.255",
      "169.254.169.254",
      "172.16.0.1",
      "172.31.255.255",
      "192.0.0.8",
      "192.0.2.1",
      "192.88.99.1",
      "192.168.1.1",
      "198.18.0.1",
      "198.19.255.255",
      "198.51.100.1",
      "203.0.113.1",
      "224.0.0.1",
      "239.255.255.255",
      "240.0.0.1",
      "255.255.255.255",
      "::",
      "::1",
      "0:0:0:0:0:0:0:1",
      "::127.0.0.1",
      "::ffff:127.0.0.1",
      "::ffff:7f00:1",
      "::FFFF:8.8.8.8",
      "64:ff9b::127.0.0.1",
      "64:ff9b::a00:1",
      "64:ff9b:1::808:808",
      "100::1",
      "2001::1",
      "2001:db8::1",
      "2002:7f00:1::",
      "2002:808:808::1",
      "3fff::1",
      "5f00::1",
      "fc00::1",
      "fd00:ec2::254",
      "fe80::1",
      "febf::1",
      "fec0::1",
      "ff02::1",
    ]) {
      expect(check(address), address).toBe(`${address} is no public address`);
    }
  });

  it("are none that is not written as an address", () => {
    for (const text of ["", "localhost", "127.1", "0x7f.0.0.1", "0177.0.0.1", "2130706433", "1.2.3.4.5", "1.2.3.256"]) {
      expect(check(text), text).toBe(`${text} is no address`);
    }
    for (const text of [":", ":::", "1::2::3", "1:2:3:4:5:6:7", "1:2:3:4:5:6:7:8:9", "::12345", "::1%eth0", "[::1]"]) {
      expect(check(text), text).toBe(`${text} is no address`);
    }
    for (const text of ["1:2:3:4:5:6:7::8", "::1.2.3", "1.2.3.4::", "::01.2.3.4", "g::"]) {
      expect(isIpAddress(text), text).toBe(false);
    }
  });

  it("can be allowed by network, each family by itself", () => {
    const allowed = addressCheck(["10.1.0.0/16", "::1/128", "fd00::/8", "192.168.7.9"]);
    for (const address of ["10.1.2.3", "::1", "fdab::1", "192.168.7.9", "8.8.8.8"]) {
      expect(allowed(address), address).toBeUndefined();
    }
    for (const address of ["10.2.0.1", "::2", "fc00::1", "192.168.7.8", "::ffff:10.1.2.3", "127.0.0.1"]) {
      expect(allowed(address), address).toBeDefined();
    }
    expect(addressCheck(["0.0.0.0/0"])("127.0.0.1")).toBeUndefined();
    expect(addressCheck(["0.0.0.0/0"])("::1")).toBeDefined();
    expect(addressCheck(true)("127.0.0.1")).toBeUndefined();
    expect(addressCheck(true)("localhost")).toBeDefined();
    for (const text of ["10.0.0.0/33", "::/129", "10.0.0.0/", "10.0.0.0/8/8", "localhost", "10.0.0.0/-1", "10/8"]) {
      expect(() => addressCheck([text]), text).toThrow(UsageError);
    }
  });

  it("are those that the platform's own lists of networks let through", () => {
    const four = new BlockList();
    const six = new BlockList();
    for (const [network, bits] of [
      ["0.0.0.0", 8],
      ["10.0.0.0", 8],
      ["100.64.0.0", 10],
      ["127.0.0.0", 8],
      ["169.254.0.0", 16],
      ["172.16.0.0", 12],
      ["192.0.0.0", 24],
      ["192.0.2.0", 24],
      ["192.88.99.0", 24],
      ["192.168.0.0", 16],
      ["198.18.0.0", 15],
      ["198.51.100.0", 24],
      ["203.0.113.0", 24],
      ["224.0.0.0", 3],
    ] as const) {
      four.addSubnet(network, bits, "ipv4");
    }
    for (const [network, bits] of [
      ["::", 3],
      ["4000::", 2],
      ["8000::", 1],
      ["2001::", 23],
      ["2001:db8::", 32],
      ["2002::", 16],
      ["3fff::", 20],
    ] as const) {
      six.addSubnet(network, bits, "ipv6");
    }
    fc.assert(
      fc.property(fc.ipV4(), (address) => {
        expect(isRefused(address)).toBe(four.check(address, "ipv4"));
      }),
      { numRuns: 2_000 },
    );
    const near6 = fc.oneof(
      fc.ipV6(),
      fc
        .tuple(
          fc.constantFrom("2001:", "2002:", "3fff:", "2000:", "fd00:", "2001:db8:", "2001:1ff:", "2001:200:"),
          fc.nat(0xffff),
        )
        .map(([start, end]) => `${start}:${end.toString(16)}`),
    );
    fc.assert(
      fc.property(near6, (address) => {
        fc.pre(!address.startsWith("64:ff9b:"));
        expect(isIpAddress(address)).toBe(true);
        expect(isRefused(address)).toBe(six.check(address, "ipv6"));
      }),
      { numRuns: 2_000 },
    );
  });
});
