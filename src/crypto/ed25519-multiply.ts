/**
 * Multiplying public keys by scalars. Everything here is public data, so time may depend on it:
 * a signed window of four bits costs half the additions of noble's bit by bit ladder.
 */
import { Point } from "@noble/ed25519";

/** Multiplies one fixed point by a scalar from 0 up to, not including, the group order. */
export type MultiplyByScalar = (scalar: bigint) => Point;

const WINDOWS = 64;
const WINDOW_SIZE = 8;

/** `scalar` times `point`. */
export function multiply(point: Point, scalar: bigint): Point {
  const table = oneToEight(point);
  let sum = Point.ZERO;
  const digits = signedDigits(scalar);
  for (let window = digits.length - 1; window >= 0; window--) {
    if (window < digits.length - 1) sum = sum.double().double().double().double();
    sum = addDigit(sum, table, 0, digits[window] ?? 0);
  }
  return sum;
}

/**
 * A multiplier for a point that will be used often. Its table of 512 points costs about as much to
 * make as one verification and a half, and leaves 64 additions and no doubling for each use.
 */
export function prepare(point: Point): MultiplyByScalar {
  const table: Point[] = [];
  let base = point;
  for (let window = 0; window < WINDOWS; window++) {
    const multiples = oneToEight(base);
    table.push(...multiples);
    base = (multiples[WINDOW_SIZE - 1] ?? base).double();
  }
  return (scalar) => {
    let sum = Point.ZERO;
    signedDigits(scalar).forEach((digit, window) => {
      sum = addDigit(sum, table, window * WINDOW_SIZE, digit);
    });
    return sum;
  };
}

function oneToEight(point: Point): Point[] {
  let last = point.double();
  const multiples = [point, last];
  for (let times = 3; times <= WINDOW_SIZE; times++) {
    last = last.add(point);
    multiples.push(last);
  }
  return multiples;
}

function addDigit(sum: Point, table: readonly Point[], offset: number, digit: number): Point {
  if (digit === 0) return sum;
  const multiple = table[offset + Math.abs(digit) - 1];
  if (multiple === undefined) throw new RangeError("A digit lies outside its table.");
  return digit > 0 ? sum.add(multiple) : sum.subtract(multiple);
}

/** The scalar in base 16, lowest digit first, with digits from -7 to 8. */
function signedDigits(scalar: bigint): number[] {
  const hex = scalar.toString(16);
  const digits: number[] = [];
  let carry = 0;
  for (let index = hex.length - 1; index >= 0; index--) {
    const digit = Number.parseInt(hex.charAt(index), 16) + carry;
    carry = digit > WINDOW_SIZE ? 1 : 0;
    digits.push(digit - 16 * carry);
  }
  if (carry === 1) digits.push(1);
  return digits;
}
