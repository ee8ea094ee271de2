/** SCRAM (RFC 5802, RFC 7677) by the browser's own cryptography, for the factory of saslmechanisms. */

interface Credentials {
  username: string;
  password: string;
}

type Hash = "SHA-1" | "SHA-256" | "SHA-512";

/** Fewer would hand a false server an easy guess (RFC 7677, section 4); more would stop the page. */
const ITERATIONS = { least: 4096, most: 1_000_000 };

const bytes = (text: string) => new TextEncoder().encode(text);
const binary = (data: Uint8Array) => Array.from(data, (byte) => String.fromCharCode(byte)).join("");
const base64 = (data: ArrayBuffer) => btoa(binary(new Uint8Array(data)));

/** The mechanism's class. `nonce` is for tests. */
export function scram(hash: Hash, nonce: () => string = randomNonce) {
  return class Scram {
    readonly name = `SCRAM-${hash}`;
    readonly clientFirst = true;
    first = "";
    challenged = "";
    signature: ArrayBuffer | undefined;

    /** The next thing to say, as the bytes of a binary string. */
    async response(credentials: Credentials): Promise<string> {
      if (!this.challenged) {
        this.first = `n=${escaped(credentials.username)},r=${nonce()}`;
        return binary(bytes(`n,,${this.first}`));
      }
      // What RFC 5802 calls server-final-message, of the profiles that send it as a challenge.
      if (this.signature) return "";
      return binary(bytes(await this.proof(credentials.password)));
    }

    challenge(text: string): void {
      if (this.signature) this.verify(text);
      else this.challenged = text;
    }

    final(text: string): void {
      this.verify(text);
    }

    async proof(password: string): Promise<string> {
      const { r, s, i } = attributes(this.challenged);
      const ours = attributes(this.first).r;
      const iterations = Number(i);
      if (!r || !s || !ours || !r.startsWith(ours) || r === ours) throw new Error("false nonce");
      if (!(iterations >= ITERATIONS.least && iterations <= ITERATIONS.most)) {
        throw new Error(`${i} iterations`);
      }
      const salt = Uint8Array.from(atob(s), (char) => char.charCodeAt(0));
      const salted = await stretch(hash, password, salt, iterations);
      const last = `c=${btoa("n,,")},r=${r}`;
      const spoken = `${this.first},${this.challenged},${last}`;
      const clientKey = await hmac(hash, salted, "Client Key");
      const storedKey = await crypto.subtle.digest(hash, clientKey);
      const proof = xor(clientKey, await hmac(hash, storedKey, spoken));
      this.signature = await hmac(hash, await hmac(hash, salted, "Server Key"), spoken);
      return `${last},p=${base64(proof)}`;
    }

    verify(text: string): void {
      const { v } = attributes(text);
      if (!this.signature || v !== base64(this.signature)) {
        throw new Error("the server does not know the password either");
      }
    }
  };
}

/** The mechanisms, the best first. */
export const SCRAM = ["SHA-512", "SHA-256", "SHA-1"] as const;

function randomNonce(): string {
  return base64(crypto.getRandomValues(new Uint8Array(18)).buffer);
}

/** RFC 5802, section 5.1. */
function escaped(username: string): string {
  return username.replaceAll("=", "=3D").replaceAll(",", "=2C");
}

function attributes(text: string): Record<string, string> {
  return Object.fromEntries(text.split(",").map((part) => [part.slice(0, 1), part.slice(2)]));
}

async function stretch(hash: Hash, password: string, salt: BufferSource, iterations: number) {
  const secret = bytes(password.normalize("NFKC"));
  const key = await crypto.subtle.importKey("raw", secret, "PBKDF2", false, ["deriveBits"]);
  const bits = { "SHA-1": 160, "SHA-256": 256, "SHA-512": 512 }[hash];
  return crypto.subtle.deriveBits({ name: "PBKDF2", hash, salt, iterations }, key, bits);
}

async function hmac(hash: Hash, secret: ArrayBuffer, text: string): Promise<ArrayBuffer> {
  const algorithm = { name: "HMAC", hash };
  const key = await crypto.subtle.importKey("raw", secret, algorithm, false, ["sign"]);
  return crypto.subtle.sign("HMAC", key, bytes(text));
}

function xor(one: ArrayBuffer, other: ArrayBuffer): ArrayBuffer {
  const mask = new Uint8Array(other);
  return new Uint8Array(one).map((byte, n) => byte ^ (mask[n] ?? 0)).buffer;
}
