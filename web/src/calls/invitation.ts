/** How a call comes about (XEP-0353): what each message means, without sending or showing anything. */

export type Media = "audio" | "video";

export type Phase =
  /** Ours, nobody has answered. */
  | "calling"
  /** Ours, and a device of theirs rings. */
  | "ringing"
  /** Theirs, and this device rings. */
  | "incoming"
  /** Accepted; media are being connected. */
  | "connecting"
  | "active"
  | "ended";

export type End =
  | "hung-up"
  | "declined"
  | "busy"
  | "cancelled"
  | "no-answer"
  | "elsewhere"
  | "failed";

export interface Call {
  id: string;
  /** Their bare address. */
  peer: string;
  /** Their device, once it is known. */
  device?: string;
  outgoing: boolean;
  media: Media;
  phase: Phase;
  end?: End;
}

export type Name = "propose" | "ringing" | "proceed" | "accept" | "reject" | "retract" | "finish";

/** A message of XEP-0353 that came. */
export interface Word {
  name: Name;
  id: string;
  from: string;
  /** Another device of our own account said it. */
  own: boolean;
  tieBreak: boolean;
  busy: boolean;
}

/** What to do besides noting the new state. */
export type Action = "initiate" | "none";

/** The call after the message. What does not concern it leaves it as it is. */
export function hear(call: Call, word: Word): { call: Call; action: Action } {
  const stays = { call, action: "none" as const };
  if (word.id !== call.id || call.phase === "ended") return stays;
  const end = (reason: End) => ({ call: ended(call, reason), action: "none" as const });
  switch (word.name) {
    case "ringing":
      if (!call.outgoing || word.own || call.phase !== "calling") return stays;
      return { call: { ...call, phase: "ringing" }, action: "none" };
    case "proceed":
      if (word.own) return isRinging(call) ? end("elsewhere") : stays;
      if (!call.outgoing || !isWaiting(call)) return stays;
      return {
        call: { ...call, phase: "connecting", device: word.from },
        action: "initiate",
      };
    case "accept":
      // Of version 0.3: our other device tells its siblings.
      return word.own && isRinging(call) ? end("elsewhere") : stays;
    case "reject":
      if (word.own) return isRinging(call) ? end("elsewhere") : stays;
      return call.outgoing && isWaiting(call) ? end(word.busy ? "busy" : "declined") : stays;
    case "retract":
      return !call.outgoing && !word.own && isRinging(call) ? end("cancelled") : stays;
    case "finish":
      // Theirs; our own other device's says nothing about this one.
      return word.own && call.phase !== "incoming" ? stays : end("hung-up");
    default:
      return stays;
  }
}

export function ended(call: Call, reason: End): Call {
  return call.phase === "ended" ? call : { ...call, phase: "ended", end: reason };
}

const isRinging = ({ phase }: Call) => phase === "incoming";
const isWaiting = ({ phase }: Call) => phase === "calling" || phase === "ringing";

/** What to do about a call that comes in while there is another. */
export type Collision = "ring" | "busy" | "ours-wins" | "theirs-wins";

/** Section 4: both called at once, the lower id wins; else whoever is in a call is busy. */
export function collide(current: Call | undefined, id: string, from: string): Collision {
  if (!current || current.phase === "ended") return "ring";
  const crossing = current.outgoing && isWaiting(current) && current.peer === from;
  if (!crossing) return "busy";
  return current.id < id ? "ours-wins" : "theirs-wins";
}
