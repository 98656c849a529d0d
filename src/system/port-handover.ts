/**
 * One listener takes a port over from another, and nobody is refused meanwhile.
 *
 * Both listen on the port for a moment (the runtime's `reusePort`). Closing the old one at once would reset
 * the connections that the kernel has completed for it and that nobody has accepted yet. So new connections
 * are first steered to the new one; the old one takes what is under way to it, and closes then.
 *
 *     new listens → connections are steered to it → HANDOVER_MS → old closes
 *
 * One thread; other threads may hand over their listeners of the same port at about the same time.
 */
import { listeningDescriptors, steerConnections } from "./reuse-port.ts";

/** Handshakes that began with the old listener take less; a packet that is lost is sent again after a second. */
const HANDOVER_MS = 1_500;

/** What is handed over: a listener of the runtime, bound with `reusePort`. */
export interface PortListener {
  /** `false`: stops listening and keeps connections. */
  stop(closesConnections: boolean): unknown;
}

interface Waiting<L> {
  readonly open: () => L;
  readonly done: PromiseWithResolvers<void>;
}

export class PortHandover<L extends PortListener> {
  #current: L;
  #old: L | undefined;
  #timer: ReturnType<typeof setTimeout> | undefined;
  /** The newest that came while another was taking over. */
  #waiting: Waiting<L> | undefined;
  readonly #port: number;
  readonly #shares: number;

  /**
   * @param first Listens already.
   * @param shares Threads that listen on the port, this one included.
   */
  constructor(first: L, { port, shares }: { readonly port: number; readonly shares: number }) {
    this.#current = first;
    this.#port = port;
    this.#shares = shares;
  }

  /** Takes new connections. */
  get current(): L {
    return this.#current;
  }

  /**
   * Lets another listener take over. While one is still taking over the newest waits for its turn, and those
   * that it replaces settle without having been opened.
   *
   * @param open Opens it on the same port.
   * @returns Settles when new connections go to it, or another is to come instead. Rejects with what `open`
   *   throws: nothing has changed then.
   */
  replace(open: () => L): Promise<void> {
    if (this.#old === undefined) return Promise.try(() => this.#replace(open));
    this.#waiting?.done.resolve();
    this.#waiting = { open, done: Promise.withResolvers<void>() };
    return this.#waiting.done.promise;
  }

  /** Listens no more; connections stay. */
  stop(): void {
    clearTimeout(this.#timer);
    this.#waiting?.done.resolve();
    this.#waiting = undefined;
    void this.#old?.stop(false);
    this.#old = undefined;
    void this.#current.stop(false);
  }

  #replace(open: () => L): void {
    const before = listeningDescriptors(this.#port);
    const next = open();
    const [descriptor] = listeningDescriptors(this.#port).difference(before);
    // Behind those that were there: each thread has one, and each will have one more. As the old ones close,
    // the place empties only when none of them is left; then connections are spread over all again.
    if (descriptor !== undefined) steerConnections(descriptor, this.#shares);
    this.#old = this.#current;
    this.#current = next;
    // Once more round the loop: what the kernel has completed for the old one is accepted in it.
    this.#timer = setTimeout(() => setImmediate(() => this.#close()), HANDOVER_MS);
  }

  #close(): void {
    void this.#old?.stop(false);
    this.#old = undefined;
    const waiting = this.#waiting;
    this.#waiting = undefined;
    if (waiting === undefined) return;
    Promise.try(() => this.#replace(waiting.open)).then(waiting.done.resolve, waiting.done.reject);
  }
}
