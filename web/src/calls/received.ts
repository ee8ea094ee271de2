import { changeTile, meeting, type Tile } from "../state/meeting";
import { resource } from "../xmpp/jid";
import { ns } from "../xmpp/ns";
import { children, type Element } from "../xmpp/xml";

/** What a stream of somebody is in an offer of the focus. */
interface Stream {
  id: string;
  nick: string;
  screen: boolean;
  /** Names of its contents. */
  names: string[];
}

/** Whose contents are whose in a session of the focus, and their tiles: docs/protocols/calls.md. */
export class Received {
  /** All that comes is in this session. */
  readonly gathered: boolean;
  /** The stream of each content. */
  private readonly owners = new Map<string, string>();
  private readonly tracks = new Map<string, MediaStreamTrack>();

  constructor(offer: Element) {
    this.gathered = streamElements(offer).some((one) => children(one, "content").length > 0);
    this.add(offer);
  }

  /** What comes with the session, or to it. */
  add(offer: Element): void {
    for (const { id, nick, screen, names } of streamsOf(offer, this.only())) {
      for (const name of names) this.owners.set(name, id);
      if (meeting.getState().tiles.has(id)) continue;
      const muted = { audio: false, video: false };
      const tile: Tile = { id, nick, screen, media: new MediaStream(), muted, volume: 1 };
      meeting.setState(({ tiles }) => ({ tiles: new Map(tiles).set(id, tile) }));
    }
  }

  /** What goes while the session stays. */
  remove(removal: Element): void {
    for (const { attrs } of children(removal, "content")) this.drop(attrs.name ?? "");
  }

  /** The session is over. */
  clear(): void {
    for (const name of [...this.owners.keys()]) this.drop(name);
  }

  show(track: MediaStreamTrack, name: string): void {
    const id = this.owners.get(name);
    if (id === undefined) return;
    this.tracks.set(name, track);
    this.refresh(id);
  }

  /** Without a name it is about all that the session carries. */
  mute(kind: string, muted: boolean, name: string | undefined): void {
    const concerned = name === undefined ? [...this.owners.values()] : [this.owners.get(name)];
    for (const id of new Set(concerned)) {
      if (id) changeTile(id, (tile) => ({ muted: { ...tile.muted, [kind]: muted } }));
    }
  }

  private drop(name: string): void {
    const id = this.owners.get(name);
    if (id === undefined) return;
    this.owners.delete(name);
    this.tracks.delete(name);
    if ([...this.owners.values()].includes(id)) this.refresh(id);
    else removeTile(id);
  }

  /** A new object, so that elements that show it notice. */
  private refresh(id: string): void {
    const tracks = [...this.tracks].filter(([name]) => this.owners.get(name) === id);
    changeTile(id, () => ({ media: new MediaStream(tracks.map(([, track]) => track)) }));
  }

  private only(): string | undefined {
    return [...this.owners.values()][0];
  }
}

/** Who does not say whose contents are whose has a session for each stream: `only`, if it has begun. */
function streamsOf(offer: Element, only: string | undefined): Stream[] {
  const contents = children(offer, "content");
  const all = contents.map(({ attrs }) => attrs.name ?? "");
  const stream = (element: Element | undefined): Stream => {
    const told = children(element, "content").map(({ attrs }) => attrs.name ?? "");
    const names = told.length > 0 ? told : all;
    const own = contents.filter(({ attrs }) => names.includes(attrs.name ?? ""));
    return {
      id: element?.attrs.id ?? only ?? offer.attrs.sid ?? "",
      nick: resource(element?.attrs.occupant ?? "") || nameFrom(offer),
      screen: own.some(isScreen),
      names,
    };
  };
  const elements = streamElements(offer);
  return elements.length > 0 ? elements.map(stream) : [stream(undefined)];
}

function streamElements(offer: Element): Element[] {
  return children(offer, "stream").filter((one) => one.getNS() === ns.welloCalls);
}

function isScreen(content: Element): boolean {
  const categories = children(content, "description").flatMap((one) => children(one, "category"));
  return categories.some(({ attrs }) => attrs.name === "slides");
}

/** Of a focus that does not tell the occupant. */
function nameFrom(offer: Element): string {
  const info = children(offer, "conference-info")[0];
  const user = children(children(info, "users")[0], "user")[0];
  return (
    children(user, "display-text")[0]?.text() ?? user?.attrs.entity?.replace(/^xmpp:/, "") ?? "?"
  );
}

function removeTile(id: string): void {
  meeting.setState(({ tiles }) => {
    const left = new Map(tiles);
    left.delete(id);
    return { tiles: left };
  });
}
