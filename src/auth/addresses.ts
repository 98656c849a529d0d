/** Sets of network addresses: single ones and networks in CIDR notation, IPv4 and IPv6. */
import { BlockList, isIPv4, isIPv6 } from "node:net";

/** Says what is wrong with an address or network. @returns `undefined` when it is good. */
export function addressProblem(text: string): string | undefined {
  const [address = "", prefix, ...rest] = text.split("/");
  const bitsMax = isIPv4(address) ? 32 : isIPv6(address) ? 128 : -1;
  const bits = prefix === undefined ? bitsMax : /^\d{1,3}$/.test(prefix) ? Number(prefix) : Infinity;
  if (bitsMax >= 0 && bits <= bitsMax && rest.length === 0) return undefined;
  return `"${text}" is neither an address nor a network such as 10.0.0.0/8`;
}

/** Answers that are remembered; beyond, they are worked out again. */
const REMEMBERED_MAX = 4096;

/** A set of addresses with a memory: asked for every datagram. */
export class AddressSet {
  readonly #list = new BlockList();
  readonly #remembered = new Map<string, boolean>();

  /** @param networks Each without problem by `addressProblem()`. */
  constructor(networks: readonly string[]) {
    for (const network of networks) {
      const [address = "", prefix] = network.split("/");
      const family = isIPv4(address) ? "ipv4" : "ipv6";
      if (prefix === undefined) this.#list.addAddress(address, family);
      else this.#list.addSubnet(address, Number(prefix), family);
    }
  }

  /** Whether the address is in the set. An IPv4 address mapped into IPv6 counts as IPv4. */
  has(address: string): boolean {
    const known = this.#remembered.get(address);
    if (known !== undefined) return known;
    const plain = address.replace(/^::ffff:(?=\d+\.)/i, "");
    const isIn = isIPv4(plain)
      ? this.#list.check(plain, "ipv4")
      : isIPv6(plain) && this.#list.check(plain, "ipv6");
    if (this.#remembered.size >= REMEMBERED_MAX) this.#remembered.clear();
    this.#remembered.set(address, isIn);
    return isIn;
  }
}
