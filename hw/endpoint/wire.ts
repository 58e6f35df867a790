/** An Ethernet port of a device, as what it is connected to sees it. */
export interface WirePort {
  /**
   * A frame has come, without its checksum: `length` bytes from `offset` on, perhaps inside a `send` of the port. They are only good during
   * the call; the port takes a copy of what it keeps.
   */
  receive(frame: Uint8Array, offset: number, length: number): void;
  /** Whether there is somebody at the other end. */
  setLink(isUp: boolean): void;
}

/** What an Ethernet port is connected to: a cable, and whatever is at its other end. */
export interface Wire {
  /**
   * The port is plugged in, in place of the one that was there; undefined: it is pulled out. It is told at once whether there is a link, and
   * from then on when that changes.
   */
  attach(port: WirePort | undefined): void;
  /** The port sends a frame; its bytes are only good during the call. What cannot be sent is lost, as on any wire. */
  send(frame: Uint8Array, offset: number, length: number): void;
}

/** One end of a cable. */
class CableEnd implements Wire {
  other: CableEnd | undefined = undefined;
  #port: WirePort | undefined = undefined;

  get isPlugged(): boolean {
    return this.#port !== undefined;
  }

  attach(port: WirePort | undefined): void {
    this.#port = port;
    const { other } = this;
    port?.setLink(other?.isPlugged === true);
    other?.linkChanged(port !== undefined);
  }

  linkChanged(isUp: boolean): void {
    this.#port?.setLink(isUp);
  }

  send(frame: Uint8Array, offset: number, length: number): void {
    this.other?.deliver(frame, offset, length);
  }

  deliver(frame: Uint8Array, offset: number, length: number): void {
    this.#port?.receive(frame, offset, length);
  }
}

/** A cable between two ports: what one sends, the other receives, at once. */
export function cable(): [one: Wire, other: Wire] {
  const [one, other] = [new CableEnd(), new CableEnd()];
  one.other = other;
  other.other = one;
  return [one, other];
}
