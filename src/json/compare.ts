/**
 * Compares two strings by Unicode code point, which is also the order of their UTF-8 bytes. `<` and
 * a bare `sort()` compare UTF-16 units and put U+1F600 (a surrogate pair) before U+FFFF.
 */
export function compareCodePoints(a: string, b: string): -1 | 0 | 1 {
  if (a === b) return 0;
  const shorter = Math.min(a.length, b.length);
  for (let i = 0; i < shorter; i++) {
    const left = a.charCodeAt(i);
    const right = b.charCodeAt(i);
    if (left !== right) return rank(left) < rank(right) ? -1 : 1;
  }
  return a.length < b.length ? -1 : 1;
}

/** Moves surrogates, which stand for U+10000 and above, after U+E000 to U+FFFF. */
function rank(unit: number): number {
  if (unit < 0xd800) return unit;
  return unit < 0xe000 ? unit + 0x2000 : unit - 0x800;
}
