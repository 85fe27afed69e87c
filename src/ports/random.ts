/** Randomness, as the host has it. */

/** The only source of randomness: for room ids of versions 1 to 11 and event ids of versions 1 and 2. */
export interface Random {
  /** `length` unpredictable bytes, a new array each time. */
  bytes(length: number): Uint8Array;
}
